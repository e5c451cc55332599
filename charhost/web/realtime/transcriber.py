"""The words in the turns of one client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from charhost.conversation.items import Audio, Message
from charhost.memory.budget import Holding
from charhost.speech.failure import SpeechError
from charhost.speech.hearing import HEARD_RATE, Hearing, Listening, Transcript, Word
from charhost.web.protocol.item_format import item_fields
from charhost.web.realtime.session_tasks import SessionTasks
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.speech.formats import Encoding

Result = TypeVar("Result")

BYTES_PER_MS = HEARD_RATE * 2 / 1000
# Of a transcript: seconds for any, and for each second of its sound.
_DEADLINE, _DEADLINE_SHARE = 10.0, 0.1
# Samples of silence that push the last ones of sound through a resampler.
_PUSH = 1_200
_EVENT = "conversation.item.input_audio_transcription."


@dataclass(eq=False, slots=True)
class Transcriber:
    """Has the turns of one client transcribed, and puts their words into the conversation.

    `item_id` is that of the item which the sound that is fed will be. Sound whose words are awaited is counted in the
    budget of memory, and `waiting_ms` is its length; the sound of the turn is counted by the microphone.
    """

    _session: Session
    _tasks: SessionTasks
    _hearing: Hearing
    _emit: Callable[..., None]
    _finish: Callable[[Coroutine[Any, Any, None]], None]
    item_id: str = ""
    ms: float = 0.0  # of the turn
    waiting_ms: float = 0.0
    _listening: Listening | None = None
    _language: tuple[str | None, str] = (None, "")
    _opened_in: tuple[str | None, str] = (None, "")
    _guess: asyncio.Task[None] | None = None
    _transcripts: dict[str, asyncio.Task[Any]] = field(default_factory=dict)  # that are awaited, by item
    _failed: tuple[str, str] = ("", "")  # the item that was last not understood, and why
    _memory: Holding = field(init=False)

    def __post_init__(self) -> None:
        self._memory = self._session.budget.holding("audio")

    def choose(self, language: str | None, hint: str) -> None:
        """Use another language or hint from the next turn on."""
        self._language = language, hint

    def close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            self._finish(_closed(listening, [*self._transcripts.values()]))

    def feed(self, pcm: bytes) -> None:
        listening = self._opened()
        self.ms += len(pcm) / BYTES_PER_MS
        listening.feed(pcm)

    def drop(self) -> None:
        """Forget the sound of the turn."""
        self.take_back()
        self.ms = 0.0
        if self._listening is not None:
            self._listening.drop()

    def guess(self) -> None:
        """Have the words found in the hope that the turn is over."""
        if self._listening is not None:
            self._guess = self._tasks.run(_guess(self._listening))

    def take_back(self) -> None:
        """Stop the guess: the turn was not over."""
        if self._guess is not None:
            self._guess.cancel()
        self._guess = None

    def commit(self) -> asyncio.Task[Transcript | None]:
        """End the turn, and return its words, None if the engine fails; call `feed` again after an await only."""
        item = Message(id=self.item_id, role="user", parts=(Audio(),))
        history = self._session.conversation.history
        history.append(item)
        previous = history.before(item.id)
        self._emit("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        for kind in ("added", "done"):
            self._emit(f"conversation.item.{kind}", previous_item_id=previous, item=item_fields(item))
        listening = self._opened()
        ms, self.ms, self._guess = self.ms, 0.0, None
        return self._begin(item, ms, self._transcribe(item, 0, ms / 1000, listening))

    def understand(self, item: Message, sounds: Mapping[int, bytes], encoding: Encoding, ms: float) -> None:
        """Find the words in parts of an item that a client has made as a whole, of *ms* together."""
        self._begin(item, ms, self._understand(item, sounds, encoding), sum(map(len, sounds.values())))

    async def understood(self) -> None:
        """Wait until all that was said is understood; raises `SpeechError` if the last of it could not be."""
        await asyncio.gather(*map(asyncio.shield, self._transcripts.values()))
        item_id, message = self._failed
        items = list(self._session.conversation.history)
        if items and items[-1].id == item_id:
            raise SpeechError("malformed", message)

    def _opened(self) -> Listening:
        """Return what listens to the turn, in the language that was chosen before the turn."""
        if self._listening is not None and not self.ms and self._language != self._opened_in:
            self.close()
        if self._listening is None:
            self._listening, self._opened_in = self._hearing.listen(*self._language), self._language
            self._tasks.run(self._send_words(self._listening))
        return self._listening

    def _begin(
        self, item: Message, ms: float, work: Coroutine[Any, Any, Result], received: int = 0
    ) -> asyncio.Task[Result]:
        """Run *work* on *ms* of sound, beside which the *received* bytes are held."""
        task = self._transcripts[item.id] = self._tasks.run(work)
        size = received + int(ms * BYTES_PER_MS)
        self._hold(ms, size)
        task.add_done_callback(lambda _: self._transcripts.pop(item.id))
        task.add_done_callback(lambda _: self._hold(-ms, -size))
        return task

    def _hold(self, ms: float, size: int) -> None:
        self.waiting_ms += ms
        self._memory.resize(self._memory.size + size)

    async def _understand(self, item: Message, sounds: Mapping[int, bytes], encoding: Encoding) -> None:
        for index, sound in sounds.items():
            listening = self._hearing.listen(*self._language)
            try:
                pcm = await asyncio.to_thread(_heard, encoding, sound)
                listening.feed(pcm)
                await self._transcribe(item, index, len(pcm) / BYTES_PER_MS / 1000, listening)
            finally:
                self._finish(listening.close())

    async def _transcribe(self, item: Message, index: int, seconds: float, listening: Listening) -> Transcript | None:
        """Return the words of a part, once the client and the conversation have them."""
        metrics = self._session.conversation.shared.metrics
        try:
            async with asyncio.timeout(_DEADLINE + seconds * _DEADLINE_SHARE):
                transcript = await listening.transcript(final=True)
        except TimeoutError:
            self._fail(item, index, SpeechError("timeout", "The words took too long to be understood."))
            return None
        except SpeechError as e:
            self._fail(item, index, e)
            return None
        metrics.speech_sound_seconds.labels("heard").inc(transcript.seconds)
        usage = {"type": "duration", "seconds": float(transcript.seconds)}
        self._replace(item, index, Audio.heard(transcript.text))
        fields = {"item_id": item.id, "content_index": index, "transcript": transcript.text, "usage": usage}
        self._emit(f"{_EVENT}completed", **fields)
        self._session.weigh()
        return transcript

    def _fail(self, item: Message, index: int, failure: SpeechError) -> None:
        self._session.conversation.shared.metrics.speech_errors.labels("hearing", failure.error_type).inc()
        error = {"type": "server_error", "code": "transcription_failed", "message": str(failure)}
        self._emit(f"{_EVENT}failed", item_id=item.id, content_index=index, error=error)
        self._replace(item, index, Audio(is_lost=True))
        self._failed = item.id, str(failure)

    def _replace(self, item: Message, index: int, part: Audio) -> None:
        history = self._session.conversation.history
        latest = history.find(item.id)
        if isinstance(latest, Message):  # not deleted meanwhile
            history.replace(replace(latest, parts=(*latest.parts[:index], part, *latest.parts[index + 1 :])))
            self._session.note()

    async def _send_words(self, listening: Listening) -> None:
        async for event in listening.events():
            if isinstance(event, Word):
                self._emit(f"{_EVENT}delta", item_id=self.item_id, content_index=0, delta=event.text)


async def _closed(listening: Listening, transcripts: Sequence[asyncio.Task[Any]]) -> None:
    """Close what has listened, after the last words that it finds."""
    if transcripts:
        await asyncio.wait(transcripts)
    await listening.close()


async def _guess(listening: Listening) -> None:
    with suppress(SpeechError):  # which the final transcript will meet, too
        await listening.transcript(final=False)


def _heard(encoding: Encoding, sound: bytes) -> bytes:
    """Return sound as engines hear it, to the last sample; runs on a thread."""
    from charhost.speech.formats import SILENT, Decoder  # numpy, which only a server that hears has use for

    decoder = Decoder(encoding)
    return b"".join(decoder.decode(data).tobytes() for data in (sound, SILENT[encoding] * _PUSH))
