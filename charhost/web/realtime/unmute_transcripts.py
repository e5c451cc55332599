"""What is heard of a client, in the events of unmute's dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from charhost.web.realtime.unmute_emitter import UnmuteEmitter

_TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass(eq=False, slots=True)
class UnmuteTranscripts:
    """Takes the events of a microphone, and sends those that unmute's clients know.

    Their order is unmute's, which knows of speech by its words: the first word, then that someone speaks. Of noise
    nothing is sent.
    """

    _emitter: UnmuteEmitter
    _heard: Callable[[], None]
    _begun_ms: int = 0
    _has_words: bool = False

    def emit(self, kind: str, **fields: Any) -> None:
        match kind:
            case "input_audio_buffer.speech_started":
                self._begun_ms = fields["audio_start_ms"]
                self._heard()
            case "conversation.item.input_audio_transcription.delta":
                self._word(fields["delta"])
            case "conversation.item.input_audio_transcription.completed":
                for word in () if self._has_words else fields["transcript"].split():
                    self._word(word)
                if self._has_words:
                    self._emitter.emit("input_audio_buffer.speech_stopped")
                self._has_words = False
            case "conversation.item.input_audio_transcription.failed":
                self._has_words = False
                self._emitter.emit_error("server_error", fields["error"]["message"], fields["error"]["code"])

    def _word(self, word: str) -> None:
        self._emitter.emit(f"{_TRANSCRIPTION}delta", delta=word.strip(), start_time=self._begun_ms / 1000)
        if not self._has_words:
            self._has_words = True
            self._emitter.emit("input_audio_buffer.speech_started")
