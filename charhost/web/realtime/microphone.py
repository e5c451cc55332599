"""The audio of a client, and the turns in it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charhost.conversation.items import Item, Message
from charhost.ids import new_id
from charhost.speech.hearing import Transcript
from charhost.speech.latency import Latency, Stage
from charhost.speech.turns import FRAME_MS, TurnDetector, TurnSettings, TurnSign
from charhost.web.protocol.frames import InvalidEvent
from charhost.web.protocol.session_params import TurnDetection
from charhost.web.realtime.answers import Answers
from charhost.web.realtime.audio_buffer import decoded, insist_on_length
from charhost.web.realtime.session_tasks import SessionTasks
from charhost.web.realtime.transcriber import BYTES_PER_MS, Transcriber
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.speech.ears import Ears, Heard
    from charhost.speech.formats import SentEncoding

# Of audio that a client may have waiting for its words, or not committed.
_MOST_AHEAD_MS = 600_000
# Of the budget of memory, so that it is asked once for many pieces of audio: more than a session has that is heard.
_GRAIN = 16 << 10
# ms of sound before the onset: as many frames as it takes to notice it.
_ONSET_MS = 5 * FRAME_MS
# ms of silence that end a turn where the meaning is to decide: half of the longest that each eagerness allows.
_SEMANTIC_THRESHOLD = 0.5
_EAGERNESS = {"low": 4_000, "medium": 2_000, "high": 1_000, "auto": 2_000}
# Of Ogg/Opus about as many as clients send.
_SENT_BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8, "audio/ogg": 4}


@dataclass(frozen=True, slots=True)
class AudioInput:
    """How the audio of a client is heard; without a *detection* the client ends its turns itself."""

    encoding: SentEncoding
    detection: TurnDetection | None
    language: str | None = None
    hint: str = ""


@dataclass(eq=False)
class Microphone:
    """Hears one client: finds its turns, or takes them as it ends them, and has them transcribed and answered."""

    _session: Session
    _tasks: SessionTasks
    _ears: Ears
    _emit: Callable[..., None]
    _transcriber: Transcriber
    _answers: Answers
    _chosen: Callable[[], AudioInput]

    def __post_init__(self) -> None:
        self._input = self._chosen()
        self._settings = TurnSettings()
        self._ear = self._ears.open(self._input.encoding)
        self._memory = self._session.budget.holding("audio")
        self._turns = TurnDetector()
        # The frames right before the turn. Not one buffer: it would move all the time, and leave holes in memory.
        self._before: deque[bytes] = deque()
        self._held = bytearray()  # the silence after a guess, which is heard only if speech goes on
        self._is_guessed = self._is_working = False
        self._is_begun = False  # whether the client knows of the turn
        self._heard_ms = self._committed_ms = 0.0
        self._appended_ms = 0.0  # since the last commit
        self._transcriber.item_id = new_id("item")
        self.configure()

    async def append(self, audio: str) -> bool:
        """Take audio, and return whether there was any; raises `InvalidEvent`."""
        data = await decoded(audio)
        if data:
            self.take(data)
        return bool(data)

    def take(self, data: bytes) -> None:
        """Take audio that is decoded; raises `InvalidEvent`."""
        ms = self._ms(len(data))
        self._insist_on_room(len(data), ms)
        if not self._is_working:
            self._is_working = True
            self._tasks.run(self._work())
        self._appended_ms += ms
        self._ears.put(self._ear, self._input.encoding, data)
        self._weigh()

    async def commit(self) -> None:
        """End the turn of the user; raises `InvalidEvent` if it is too short."""
        await self._reach()
        is_open = self._input.detection is None or self._turns.is_open
        insist_on_length(self._appended_ms if is_open else 0.0)
        self._commit()

    async def clear(self) -> None:
        await self._reach()
        self._transcriber.drop()
        self._session.work.release(self._transcriber.item_id)
        self._reset()
        self._emit("input_audio_buffer.cleared")

    def admit(self, sounds: Mapping[int, bytes]) -> None:
        """Raise `InvalidEvent` if there is no room for the *sounds* of an item."""
        if size := sum(map(len, sounds.values())):
            self._insist_on_room(size, self._ms(size))

    def understand(self, item: Item, sounds: Mapping[int, bytes]) -> None:
        """Have the words found in the parts of an item, of which these are the *sounds*, which were admitted."""
        if isinstance(item, Message) and sounds:
            encoding = self._input.encoding
            assert encoding != "audio/ogg"  # whose clients make no items
            self._transcriber.understand(item, sounds, encoding, self._ms(sum(map(len, sounds.values()))))

    def configure(self) -> None:
        """Follow the settings of the client; a turn that is open stays so until the client commits it."""
        before, self._input = self._input, self._chosen()
        detection = self._input.detection
        self._ear.finds_speech = detection is not None
        self._ear.is_urgent = self._ear.is_urgent and self._ear.finds_speech
        if detection is not None:
            self._settings = self._turn_settings(detection)
            most = math.ceil(((detection.prefix_padding_ms or 0) + _ONSET_MS) / FRAME_MS)
            if most != self._before.maxlen:
                self._before = deque(self._before, most)
            if before.detection is None:
                self._turns.is_open = self._is_begun
        elif before.detection is not None:
            self._go_on()
            self._turns.reset()
        self._transcriber.choose(self._input.language, self._input.hint)

    def close(self) -> None:
        self._ears.close(self._ear)
        self._ear.waiting.clear()
        self._memory.resize(0)
        self._tasks.cancel()
        self._transcriber.close()

    def _ms(self, size: int) -> float:
        """Return how long so many bytes of the client's sound are."""
        return size / _SENT_BYTES_PER_MS[self._input.encoding]

    def _insist_on_room(self, size: int, ms: float) -> None:
        waiting = self._ms(self._ear.waiting_bytes) + self._transcriber.waiting_ms
        if waiting + ms > _MOST_AHEAD_MS or self._transcriber.ms > _MOST_AHEAD_MS:
            raise InvalidEvent("rate_limit_exceeded", "Too much audio: more than 10 minutes are waiting.")
        more = self._ear.waiting_bytes + size - self._memory.size
        if more > _GRAIN:
            self._session.insist_on_room(more)

    async def _reach(self) -> None:
        """Wait until all audio that was appended is heard."""
        if self._is_working:
            encoding = self._input.encoding
            assert encoding != "audio/ogg"  # whose clients end no turns
            await self._ears.reach(self._ear, encoding)

    async def _work(self) -> None:
        while True:
            for heard in await self._ear.heard.get():
                if isinstance(heard, asyncio.Future):
                    if not heard.done():
                        heard.set_result(None)
                else:
                    await self._hear(heard)
            self._weigh()

    async def _hear(self, heard: Heard) -> None:
        self._heard_ms += FRAME_MS
        detection, settings, was_open = self._input.detection, self._settings, self._turns.is_open
        if detection is None:
            self._transcriber.feed(heard.pcm)
            return
        # Whether the character is heard matters at the onset of speech only.
        is_audible = not was_open and heard.probability >= settings.threshold and self._answers.is_audible
        sign = self._turns.step(heard.probability, settings, is_audible)
        self._ear.is_urgent = self._turns.is_alert
        if sign is TurnSign.STOPPED:
            self._stop(settings.silence_ms)
            await asyncio.sleep(0)  # so that the transcript begins before the next turn
        elif was_open:
            self._take(heard.pcm, sign)
        else:
            self._before.append(heard.pcm)
            if sign is TurnSign.STARTED:
                await self._start(detection)

    async def _start(self, detection: TurnDetection) -> None:
        item_id, self._is_begun = self._transcriber.item_id, True
        self._session.work.hold(item_id)
        begun = max(self._committed_ms, self._heard_ms - len(self._before) * FRAME_MS)
        self._emit("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=round(begun))
        self._transcriber.feed(b"".join(self._before))
        self._before.clear()
        if detection.interrupt_response:
            await self._answers.interrupt()

    def _take(self, pcm: bytes, sign: TurnSign | None) -> None:
        if sign is TurnSign.RESUMED:
            self._go_on()
        if self._is_guessed:
            self._held += pcm
        else:
            self._transcriber.feed(pcm)
        if sign is TurnSign.PAUSED:
            self._is_guessed = True
            self._transcriber.guess()

    def _go_on(self) -> None:
        """Take the guess back that the turn was over."""
        self._is_guessed = False
        self._transcriber.take_back()
        if self._held:
            self._transcriber.feed(bytes(self._held))
            self._held.clear()

    def _stop(self, silence_ms: float) -> None:
        item_id, now = self._transcriber.item_id, asyncio.get_running_loop().time()
        self._emit("input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=round(self._heard_ms))
        latency = Latency(now - silence_ms / 1000, self._observe)
        latency.reach("turn", now)
        self._commit(latency)

    def _commit(self, latency: Latency | None = None) -> None:
        item_id = self._transcriber.item_id
        self._session.work.hold(item_id)
        done: asyncio.Task[Any] = self._transcriber.commit()
        if self._input.detection is not None:
            done = self._tasks.run(self._answer(done, latency))
        done.add_done_callback(lambda _: self._session.work.release(item_id))
        self._reset()

    def _reset(self) -> None:
        """Begin the next turn."""
        self._transcriber.item_id = new_id("item")
        self._turns.reset()
        self._before.clear()
        self._held.clear()
        self._is_guessed = self._is_begun = False
        self._committed_ms, self._appended_ms = self._heard_ms, 0.0

    async def _answer(self, transcribing: asyncio.Task[Transcript | None], latency: Latency | None) -> None:
        transcript = await transcribing
        if latency is not None:
            latency.reach("transcript", asyncio.get_running_loop().time())
        if self._input.detection is not None and self._input.detection.create_response:
            text = transcript.text if transcript is not None else ""
            await self._answers.answer(text, self._turns.is_open, latency)

    def _observe(self, stage: Stage, seconds: float) -> None:
        self._session.conversation.shared.metrics.speech_latency.labels(stage).observe(seconds)

    def _turn_settings(self, detection: TurnDetection) -> TurnSettings:
        settings = self._session.conversation.shared.settings
        threshold, silence = detection.threshold, detection.silence_duration_ms
        if threshold is None or silence is None:
            threshold, silence = _SEMANTIC_THRESHOLD, _EAGERNESS[detection.eagerness or "auto"]
        return TurnSettings(threshold, silence, settings.barge_in, settings.max_turn)

    def _weigh(self) -> None:
        size = self._ear.waiting_bytes + int(self._transcriber.ms * BYTES_PER_MS)
        if not size or abs(size - self._memory.size) > _GRAIN:
            self._memory.resize(size)
