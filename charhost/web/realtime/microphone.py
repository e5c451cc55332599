"""What a client says: its audio, the turns in it, and their words."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from charhost.conversation.items import Audio, Message
from charhost.conversation.spoken_turn import SpokenTurn
from charhost.ids import new_id
from charhost.speech.failure import SpeechError
from charhost.speech.hearing import HEARD_RATE, Hearing, Listening, Transcript, Word
from charhost.speech.turns import FRAME_MS, TurnDetector, TurnSettings, TurnSign
from charhost.web.protocol.frames import InvalidEvent
from charhost.web.protocol.item_format import item_fields
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.protocol.session_params import TurnDetection
from charhost.web.realtime.loudspeaker import Interrupted, Loudspeaker
from charhost.web.realtime.responder import Responder
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.speech.ears import Ears, Heard

Result = TypeVar("Result")

# Of an event, as OpenAI has it.
MOST_AUDIO = 15 << 20
_LONG = 64 << 10
# Seconds of audio that a client may be ahead of what is worked off.
_MOST_AHEAD = 600
_LEAST_COMMIT_MS = 100
_BYTES_PER_MS = HEARD_RATE * 2 / 1000

# An interrupted response is given back so often in a row; one that was hardly heard is made anew.
_MOST_GIVEN_BACK = 2
_HARDLY_HEARD_MS = 1_000

# Of a transcript: seconds for any, and for each second of its audio.
_DEADLINE, _DEADLINE_SHARE = 10.0, 0.1
# ms of silence that end a turn where the meaning is to decide: half of the longest that each eagerness allows.
_EAGERNESS = {"low": 4_000, "medium": 2_000, "high": 1_000, "auto": 2_000}


class DeafMicrophone:
    """The microphone of a session of a server that cannot hear."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._bytes = 0

    async def append(self, audio: str) -> None:
        self._bytes += len(await decoded(audio))

    async def commit(self) -> None:
        insist_on_length(self._bytes / 48)
        self._bytes = 0  # so that each piece of speech is refused once
        raise InvalidEvent("audio_not_supported", "Audio input is not supported: send text (conversation.item.create).")

    async def clear(self) -> None:
        self._bytes = 0
        self._emit("input_audio_buffer.cleared")

    def configure(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(eq=False)
class _Turn:
    """A turn of the user: the item that it becomes, and the guess at its words."""

    item_id: str = field(default_factory=lambda: new_id("item"))
    ms: float = 0.0
    guess: asyncio.Task[None] | None = None
    held: bytearray = field(default_factory=bytearray)  # the silence since the guess


@dataclass(eq=False)
class Microphone:
    """Hears one client: finds its turns, or takes them as it ends them, and has them transcribed and answered."""

    _session: Session
    _tasks: asyncio.TaskGroup
    _hearing: Hearing
    _ears: Ears
    _emit: Callable[..., None]
    _responder: Responder
    _loudspeaker: Loudspeaker

    def __post_init__(self) -> None:
        self._ear = self._ears.open()
        self._memory = self._session.budget.holding("audio")
        self._detector = TurnDetector()
        self._turn = _Turn()
        self._before = bytearray()  # the sound right before the turn
        self._heard_ms = self._committed_ms = 0.0
        self._listening: Listening | None = None
        self._language: tuple[str | None, str] = (None, "")
        self._appended_ms = 0.0  # since the last commit
        self._transcripts: dict[str, asyncio.Task[Transcript | None]] = {}  # those that are awaited, by item
        self._interrupted: Interrupted | None = None  # the response that is owed, if that was nothing
        self._given_back = 0  # times in a row
        self._failed = "", ""  # the item that was last not understood, and why
        self._running: set[asyncio.Task[Any]] = set()
        self._is_working = False
        self._responder.ready = self._understood
        self.configure()

    @property
    def _config(self) -> SessionConfig:
        settings = self._session.settings
        assert isinstance(settings, SessionConfig)
        return settings

    @property
    def _detection(self) -> TurnDetection | None:
        return self._config.detection

    async def append(self, audio: str) -> None:
        """Take audio; raises `InvalidEvent`."""
        data = await decoded(audio)
        if not data:
            return
        if not self._is_working:
            self._is_working = True
            self._run(self._work())
        if not self._config.has_spoken:
            self._session.configure(self._config.model_copy(update={"has_spoken": True}))
        encoding = self._encoding
        if self._ear.waiting_bytes + len(data) > _MOST_AHEAD * (48_000 if encoding == "audio/pcm" else 8_000):
            raise InvalidEvent("rate_limit_exceeded", "Too much audio at a time: more than 10 minutes are waiting.")
        self._session.insist_on_room(len(data))
        self._appended_ms += len(data) / (48 if encoding == "audio/pcm" else 8)
        self._ears.put(self._ear, encoding, data)
        self._weigh()

    async def commit(self) -> None:
        """End the turn of the user; raises `InvalidEvent` if it is too short."""
        await self._reach()
        is_open = self._detection is None or self._detector.is_open
        insist_on_length(self._appended_ms if is_open else 0.0)
        self._detector.reset()
        self._commit()

    async def clear(self) -> None:
        await self._reach()
        self._forget()
        self._emit("input_audio_buffer.cleared")

    def configure(self) -> None:
        """Follow the settings of the client."""
        self._ear.finds_speech = self._detection is not None
        transcription = self._config.audio.input.transcription if self._config.audio.input is not None else None
        language = (transcription.language, transcription.prompt or "") if transcription is not None else (None, "")
        if language != self._language:
            self._language = language
            self._stop_listening()

    def close(self) -> None:
        self._ears.close(self._ear)
        self._ear.waiting.clear()
        self._memory.resize(0)
        for task in self._running:
            task.cancel()
        self._stop_listening()

    @property
    def _encoding(self) -> Any:
        given = self._config.audio.input.format if self._config.audio.input is not None else None
        return given.type if given is not None else "audio/pcm"

    async def _reach(self) -> None:
        """Wait until all audio that was appended is heard."""
        if self._is_working:
            await self._ears.reach(self._ear, self._encoding)

    async def _work(self) -> None:
        while True:
            for heard in await self._ear.heard.get():
                if isinstance(heard, asyncio.Future):
                    if not heard.done():
                        heard.set_result(None)
                elif self._hear(heard):
                    await asyncio.sleep(0)  # so that the transcript begins before the next turn
            self._weigh()

    def _hear(self, heard: Heard) -> bool:
        """Take a frame, and return whether it ended a turn."""
        self._heard_ms += FRAME_MS
        detection = self._detection
        if detection is None:
            self._feed(heard.pcm)
            return False
        was_open = self._detector.is_open
        is_audible = self._responder.active is not None or self._loudspeaker.playing is not None
        sign = self._detector.step(heard.probability, _turn_settings(detection), is_audible)
        self._ear.is_urgent = self._detector.is_open or is_audible
        if not was_open:
            self._before += heard.pcm
            kept = int((detection.prefix_padding_ms if detection.prefix_padding_ms is not None else 300) + 5 * FRAME_MS)
            del self._before[: -int(kept * _BYTES_PER_MS)]
        elif sign is not TurnSign.STOPPED:
            self._take(heard.pcm, sign)
        if sign is TurnSign.STARTED:
            self._start(detection)
        elif sign is TurnSign.STOPPED:
            self._emit(
                "input_audio_buffer.speech_stopped", item_id=self._turn.item_id, audio_end_ms=round(self._heard_ms)
            )
            self._commit()
            return True
        return False

    def _take(self, pcm: bytes, sign: TurnSign | None) -> None:
        """Take a frame of an open turn; the silence after a guess is held back, and heard only if speech goes on."""
        turn = self._turn
        if sign is TurnSign.RESUMED:
            if turn.guess is not None:
                turn.guess.cancel()
            turn.guess = None
            self._feed(bytes(turn.held))
            turn.held.clear()
        if turn.guess is not None:
            turn.held += pcm
        else:
            self._feed(pcm)
        if sign is TurnSign.PAUSED and self._listening is not None:
            turn.guess = self._run(_guess(self._listening))

    def _start(self, detection: TurnDetection) -> None:
        self._turn = turn = _Turn()
        self._session.work.hold(turn.item_id)
        begun = max(self._committed_ms, self._heard_ms - len(self._before) / _BYTES_PER_MS)
        self._emit("input_audio_buffer.speech_started", item_id=turn.item_id, audio_start_ms=round(begun))
        self._feed(bytes(self._before))
        self._before.clear()
        if detection.interrupt_response:
            self._interrupt()

    def _interrupt(self) -> None:
        active = self._responder.active
        if active is None or active.ended is not None:
            self._interrupted = self._loudspeaker.cut() or self._interrupted
            return
        active.cancel("turn_detected")
        spoken = active if isinstance(active, SpokenTurn) else None
        self._interrupted = Interrupted(spoken.item_id, spoken.playback) if spoken is not None else Interrupted()

    def _feed(self, pcm: bytes) -> None:
        if self._listening is None:
            self._listening = self._hearing.listen(*self._language)
            self._run(self._send_words(self._listening))
        self._turn.ms += len(pcm) / _BYTES_PER_MS
        self._listening.feed(pcm)

    def _forget(self) -> None:
        """Forget the turn and the sound before it."""
        if self._turn.guess is not None:
            self._turn.guess.cancel()
        if self._listening is not None:
            self._listening.drop()
        self._session.work.release(self._turn.item_id)
        self._detector.reset()
        self._turn = _Turn()
        self._before.clear()
        self._appended_ms = 0.0

    def _commit(self) -> None:
        turn, self._turn = self._turn, _Turn()
        self._committed_ms, self._appended_ms = self._heard_ms, 0.0
        history = self._session.conversation.history
        item = Message(id=turn.item_id, role="user", parts=(Audio(),))
        history.append(item)
        self._session.work.hold(item.id)
        previous = history.before(item.id)
        self._emit("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        for kind in ("added", "done"):
            self._emit(f"conversation.item.{kind}", previous_item_id=previous, item=item_fields(item))
        assert self._listening is not None
        task = self._transcripts[item.id] = self._run(self._transcribe(item, turn, self._listening))
        task.add_done_callback(lambda _: self._transcripts.pop(item.id))
        if self._detection is not None:
            self._run(self._answer(task)).add_done_callback(lambda _: self._session.work.release(item.id))
        else:
            task.add_done_callback(lambda _: self._session.work.release(item.id))

    async def _transcribe(self, item: Message, turn: _Turn, listening: Listening) -> Transcript | None:
        """Return the words of a turn, once the client and the conversation have them; None if the engine failed."""
        where = {"item_id": item.id, "content_index": 0}
        try:
            async with asyncio.timeout(_DEADLINE + turn.ms / 1000 * _DEADLINE_SHARE):
                transcript = await listening.transcript(final=True)
        except (SpeechError, TimeoutError) as e:
            message = str(e) if isinstance(e, SpeechError) else "The words took too long to be understood."
            error = {"type": "server_error", "code": "transcription_failed", "message": message}
            self._emit("conversation.item.input_audio_transcription.failed", **where, error=error)
            self._replace(item, Audio(is_lost=True))
            self._failed = item.id, message
            return None
        usage = {"type": "duration", "seconds": float(transcript.seconds)}
        self._replace(item, Audio.heard(transcript.text))
        kind = "conversation.item.input_audio_transcription.completed"
        self._emit(kind, **where, transcript=transcript.text, usage=usage)
        self._session.weigh()
        return transcript

    def _replace(self, item: Message, part: Audio) -> None:
        self._session.conversation.history.replace(replace(item, parts=(part,)))
        self._session.note()

    async def _answer(self, transcribing: asyncio.Task[Transcript | None]) -> None:
        transcript, detection = await transcribing, self._detection
        if detection is None or not detection.create_response:
            return
        if transcript is not None and transcript.text:
            self._given_back, self._interrupted = 0, None
            if self._detector.is_open:  # more is being said, and the answer to it is one to all
                self._interrupted = Interrupted()
            else:
                await self._responder.answer()
        elif not self._detector.is_open:
            await self._give_back()

    async def _give_back(self) -> None:
        """Begin the interrupted response again: what interrupted it was nothing."""
        interrupted, self._interrupted = self._interrupted, None
        if interrupted is None or self._given_back >= _MOST_GIVEN_BACK:
            return
        self._given_back += 1
        playback = interrupted.playback
        if playback is None or interrupted.heard_ms < _HARDLY_HEARD_MS:
            self._loudspeaker.forget(interrupted.item_id)
            await self._responder.answer()
        elif playback.unheard.strip():
            await self._responder.answer(playback.unheard.lstrip())

    async def _understood(self) -> None:
        """Wait until all that was said is understood; raises `SpeechError` if the last of it could not be."""
        await asyncio.gather(*map(asyncio.shield, self._transcripts.values()))
        item_id, message = self._failed
        items = list(self._session.conversation.history)
        if items and items[-1].id == item_id:
            raise SpeechError("malformed", message)

    async def _send_words(self, listening: Listening) -> None:
        async for event in listening.events():
            if isinstance(event, Word):
                kind = "conversation.item.input_audio_transcription.delta"
                self._emit(kind, item_id=self._turn.item_id, content_index=0, delta=event.text)

    def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            self._tasks.create_task(listening.close())

    def _run(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run *work* until the client leaves; a fault in it ends the session."""
        task = self._tasks.create_task(self._guarded(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # of a task that was cancelled before it began
        return task

    async def _guarded(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return await work
        except Exception:
            self._session.fail()
            raise asyncio.CancelledError from None

    def _weigh(self) -> None:
        self._memory.resize(self._ear.waiting_bytes + int(self._turn.ms * _BYTES_PER_MS))


async def decoded(audio: str) -> bytes:
    """Return the bytes of base64; raises `InvalidEvent`."""
    if len(audio) > MOST_AUDIO * 4 // 3 + 4:
        raise InvalidEvent("invalid_value", "Invalid 'audio': at most 15 MiB of audio at a time.", "audio")
    try:
        if len(audio) > _LONG:
            return await asyncio.to_thread(binascii.a2b_base64, audio, strict_mode=True)
        return binascii.a2b_base64(audio, strict_mode=True)
    except ValueError as e:
        raise InvalidEvent("invalid_value", f"Invalid 'audio': it is no base64 ({e}).", "audio") from None


def insist_on_length(milliseconds: float) -> None:
    """Raise `InvalidEvent` for a turn that is too short, in the words of OpenAI."""
    if milliseconds < _LEAST_COMMIT_MS:
        raise InvalidEvent(
            "input_audio_buffer_commit_empty",
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
            f"but buffer only has {milliseconds:.2f}ms of audio.",
        )


async def _guess(listening: Listening) -> None:
    with suppress(SpeechError):  # which the final transcript will meet, too
        await listening.transcript(final=False)


def _turn_settings(detection: TurnDetection) -> TurnSettings:
    if detection.type == "semantic_vad":
        return TurnSettings(silence_ms=_EAGERNESS[detection.eagerness or "auto"])
    assert detection.threshold is not None
    assert detection.silence_duration_ms is not None
    return TurnSettings(detection.threshold, detection.silence_duration_ms)
