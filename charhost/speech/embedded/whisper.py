"""Whisper in a process of its own, by faster-whisper."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens
from numpy.typing import NDArray

from charhost.speech.embedded.digests import check
from charhost.speech.embedded.frames import Message
from charhost.speech.embedded.jobs import run

_RATE = 16_000
_FRAMES_PER_SECOND = 100
_HOP = _RATE // _FRAMES_PER_SECOND
_LONGEST_WINDOW = 30
# Whisper was trained with windows of 30 s. A shorter one costs less; below this it begins to repeat itself.
_SHORTEST_WINDOW = 12
_SPARE = 4
_TOKENS_PER_SECOND = 8
_SPARE_TOKENS = 12
_MOST_TOKENS = 220
_MOST_HINT_TOKENS = 100

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    no_speech: float
    log_probability: float
    is_cut: bool

    @property
    def is_speech(self) -> bool:
        """Whether these are words: of silence and noise Whisper makes "you" and "Thank you."."""
        return _is_speech(self.no_speech, self.log_probability)

    @property
    def is_loop(self) -> bool:
        words = self.text.lower().split()
        return self.is_cut or (len(words) > 3 and len(set(words)) <= len(words) / 2)


def _is_speech(no_speech: float, log_probability: float) -> bool:
    # Of words, even in noise as loud as they are, tiny.en says at most 0.2; of silence and noise at least 0.86.
    return no_speech <= 0.6 or (no_speech <= 0.8 and log_probability >= -1)


class Whisper:
    """Hears with one model."""

    def __init__(self, model: Path) -> None:
        for name in ("model.bin", "tokenizer.json"):
            if (model / name).exists():
                check(model / name)
        self._model = WhisperModel(str(model), device="cpu", compute_type="int8", local_files_only=True)
        # The first job would take longer than others.
        self._hear(np.zeros(_RATE, np.float32), "en", "", _SHORTEST_WINDOW)

    def work(self, job: Message) -> Iterator[Message]:
        """Yield the `text` of each segment for a job with `pcm` (16 kHz), `language` and `hint`."""
        samples = np.frombuffer(job["pcm"], "<i2").astype(np.float32) / np.float32(32768)
        if len(samples) / _RATE + _SPARE <= _LONGEST_WINDOW:
            yield {"text": self._turn(samples, job.get("language"), job.get("hint") or "")}
            return
        segments, _ = self._model.transcribe(
            samples,
            beam_size=1,
            language=self._known(job.get("language")),
            initial_prompt=job.get("hint") or None,
            condition_on_previous_text=False,
            temperature=(0.0, 0.4),
        )
        for segment in segments:
            if _is_speech(segment.no_speech_prob, segment.avg_logprob):
                yield {"text": segment.text}

    def _turn(self, samples: Samples, language: str | None, hint: str) -> str:
        window = max(_SHORTEST_WINDOW, len(samples) / _RATE + _SPARE)
        heard = self._hear(samples, language, hint, window)
        if heard.is_loop:
            heard = self._hear(samples, language, hint, _LONGEST_WINDOW)
        return heard.text if heard.is_speech else ""

    def _hear(self, samples: Samples, language: str | None, hint: str, window: float) -> _Heard:
        encoded = self._encoded(samples, int(window * _FRAMES_PER_SECOND))
        tokenizer = self._tokenizer(self._known(language) or self._model.model.detect_language(encoded)[0][0][0][2:-2])
        before = tokenizer.encode(f" {hint.strip()}")[-_MOST_HINT_TOKENS:] if hint.strip() else []
        prompt = self._model.get_prompt(tokenizer, before, without_timestamps=True)
        most = min(_MOST_TOKENS, int(len(samples) / _RATE * _TOKENS_PER_SECOND) + _SPARE_TOKENS)
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=len(prompt) + most,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )[0]
        tokens = result.sequences_ids[0]
        return _Heard(
            text=tokenizer.decode(tokens).strip(),
            no_speech=result.no_speech_prob,
            log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
            is_cut=len(tokens) >= most,
        )

    def _encoded(self, samples: Samples, frames: int) -> Any:
        features = self._model.feature_extractor(samples, padding=max(0, (frames + 1) * _HOP - len(samples)))
        return self._model.encode(features[..., :frames])

    def _known(self, language: str | None) -> str | None:
        """Return a language that the model knows, None if it has to find out."""
        known = self._model.supported_languages
        return language if language in known else known[0] if len(known) == 1 else None

    def _tokenizer(self, language: str) -> Tokenizer:
        model = self._model
        return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language)


def _make() -> Whisper:
    return Whisper(Path(sys.argv[1]))


if __name__ == "__main__":
    run(_make)
