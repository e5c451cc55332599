"""A turn whose text is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from charhost.conversation.history import History
from charhost.conversation.items import Audio, FunctionCall, Message
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import (
    ItemAdded,
    ItemDone,
    SoundDelta,
    SpokenEvent,
    TextDelta,
    TranscriptDelta,
    TurnEnded,
    TurnEvent,
    TurnFailure,
)
from charhost.speech.failure import SpeechError
from charhost.speech.latency import Latency, Stage
from charhost.speech.playback import Playback
from charhost.speech.speech import SPOKEN_RATE, Sound, Speech, Voice

# 100 ms: an interruption takes sound back in such pieces.
_PIECE = SPOKEN_RATE * 2 // 10
# Seconds that an engine has for its next sound.
_FIRST_SOUND = 10.0
_NEXT_SOUND = 5.0
# Events of a model that writes faster than a voice speaks: far more than a response has, and not all that a flood has.
_MOST_UNSPOKEN = 1 << 15

Events = AsyncGenerator[SpokenEvent, None]


class SoundFormat(Protocol):
    """Makes sound into the format of a client; may be slow, and runs on a thread."""

    def encode(self, pcm: bytes, last: bool = False) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """How sound goes to a client: at most `lead` seconds ahead of its playback there.

    `format` is None for 16 bits at 24 kHz. `drop` takes back the sound of a response that was not sent yet, and returns
    its bytes. `said` receives the text as the model writes it.
    """

    format: SoundFormat | None
    drop: Callable[[str], int]
    lead: float = 30.0
    said: Callable[[str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Speaking:
    """How a turn is spoken; `playback` returns the playback of a new item."""

    speech: Speech
    voice: Voice
    playback: Callable[[str], Playback]
    delivery: Delivery
    latency: Latency | None = None


class SpokenTurn:
    """The events of a turn, with sound and its transcript in place of text; used as a `Turn` is.

    It ends when all sound was sent. Words not heard at an interruption are taken out of the conversation.
    """

    def __init__(self, turn: Turn, speaking: Speaking, history: History) -> None:
        self.id = turn.id
        self.ended: TurnEnded | None = None
        self.input = turn.input
        self._turn = turn
        self._speaking = speaking
        self._delivery = speaking.delivery
        self._history = history
        self.item_id = ""  # of the last item that is spoken
        self.playback: Playback | None = None  # of that item
        self._queue: asyncio.Queue[TurnEvent | Exception] = asyncio.Queue(_MOST_UNSPOKEN)
        self._done: ItemDone | None = None  # of the item that is spoken
        self._wants_text = False
        self._early_end: TurnEnded | None = None
        self._stopped = asyncio.Event()
        self._failure: SpeechError | None = None
        self._spoken: dict[str, Message] = {}
        self._clock = asyncio.get_running_loop().time

    def cancel(self, reason: str = "client_cancelled") -> None:
        self._turn.cancel(reason)
        self._end_early(TurnEnded("cancelled", reason=reason))

    def fail(self, code: str, message: str) -> None:
        self._turn.fail(code, message)
        self._end_early(TurnEnded("failed", failure=TurnFailure(code, message)))

    @property
    def is_cut(self) -> bool:
        """Whether the turn was stopped in the middle of its last item."""
        return self._early_end is not None and self.playback is not None and self.playback.cut_ms is not None

    async def batches(self) -> AsyncGenerator[Sequence[SpokenEvent], None]:
        """Yield the events of the turn, one at a time."""
        async with aclosing(self.events()) as events:
            async for event in events:
                yield [event]

    async def events(self) -> Events:
        """Yield the events of the turn; the last one is `TurnEnded`, also after an error."""
        reading = asyncio.create_task(self._read())
        try:
            while self.ended is None:
                event = await self._next()
                if isinstance(event, ItemAdded) and isinstance(event.item, Message):
                    async with aclosing(self._spoken_item(event)) as events:
                        async for spoken in events:
                            yield spoken
                elif isinstance(event, TurnEnded):
                    self.ended = event = self._end(event)
                    yield event
                else:
                    yield event
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            self._leave()

    async def _read(self) -> None:
        """Read the turn as fast as the model writes, until very much of it is not spoken."""
        try:
            async with aclosing(self._turn.events()) as events:
                async for event in events:
                    await self._queue.put(event)
        except Exception as e:
            await self._queue.put(e)

    async def _next(self) -> TurnEvent:
        event = await self._queue.get()
        if isinstance(event, Exception):
            raise event
        return event

    def _end_early(self, ending: TurnEnded) -> None:
        if self._early_end is not None or self.ended is not None:
            return
        self._early_end = ending
        self._stopped.set()
        dropped = self._delivery.drop(self.id)
        if self.playback is not None:
            self.playback.unsend(dropped)
        if self.playback is not None and self.item_id not in self._spoken:
            now = self._clock()
            self.playback.cut(self.playback.heard_ms(now), now)

    async def _spoken_item(self, added: ItemAdded) -> Events:
        yield added
        item_id, index = added.item.id, added.index
        self._done, self.item_id = None, item_id
        playback = self.playback = self._speaking.playback(item_id)
        try:
            async with aclosing(self._speaking.speech.speak(self._pieces(), self._speaking.voice)) as sounds:
                async for event in self._sent(sounds, playback, item_id, index):
                    yield event
        except SpeechError as e:
            self._failure = self._failure or e
        async for _ in self._pieces():
            pass
        rest = playback.whole[len(playback.sent) :]
        if rest and self._failure is not None and not self._stopped.is_set():
            playback.add_text(Sound(b"", rest))
            yield TranscriptDelta(item_id, index, rest)
        yield self._finished(playback)

    async def _pieces(self) -> AsyncIterator[str]:
        """Yield the rest of the text of the item."""
        while self._done is None:
            self._wants_text = True
            event = await self._next()
            self._wants_text = False
            if isinstance(event, ItemDone):
                self._done = event
            elif isinstance(event, TextDelta):
                assert self.playback is not None
                self.playback.whole += event.text
                self._reach("word")
                if self._delivery.said is not None:
                    await self._delivery.said(event.text)
                yield event.text

    async def _sent(self, sounds: AsyncGenerator[Sound, None], playback: Playback, item_id: str, index: int) -> Events:
        limit, half = _FIRST_SOUND, b""
        playback.is_unfinished = True
        while (sound := await self._next_sound(sounds, limit)) is not None:
            if sound.text:
                playback.add_text(sound)
                yield TranscriptDelta(item_id, index, sound.text)
            pcm = half + sound.pcm
            pcm, half = pcm[: len(pcm) & ~1], pcm[len(pcm) & ~1 :]
            for at in range(0, len(pcm), _PIECE):
                piece = pcm[at : at + _PIECE]
                await self._lead(playback)
                data = await self._encoded(piece)
                if self._stopped.is_set():
                    return
                playback.send(len(piece), self._clock())
                self._reach("sound")
                if data:  # a resampler holds the first ones back
                    yield SoundDelta(item_id, index, data, len(piece))
                limit = _NEXT_SOUND
        playback.is_unfinished = self._stopped.is_set()
        if self._delivery.format is not None and playback.sent_bytes:
            data = await self._encoded(b"", last=True)
            if data and not self._stopped.is_set():
                yield SoundDelta(item_id, index, data, 0)

    def _reach(self, stage: Stage) -> None:
        if self._speaking.latency is not None:
            self._speaking.latency.reach(stage, self._clock())

    async def _encoded(self, pcm: bytes, last: bool = False) -> bytes:
        sound_format = self._delivery.format
        return pcm if sound_format is None else await asyncio.to_thread(sound_format.encode, pcm, last)

    async def _next_sound(self, sounds: AsyncGenerator[Sound, None], limit: float) -> Sound | None:
        """Return the next sound; None at the end, and as soon as the turn is stopped."""
        sound = asyncio.ensure_future(anext(sounds, None))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            while not (await asyncio.wait({sound, stopped}, timeout=limit, return_when=asyncio.FIRST_COMPLETED))[0]:
                if not self._wants_text:
                    raise SpeechError("timeout", f"The voice made no sound for {limit:g} s.")
            return sound.result() if sound.done() and not stopped.done() else None
        finally:
            for task in (sound, stopped):
                task.cancel()
            await asyncio.wait({sound, stopped})
            if not sound.cancelled():
                sound.exception()  # of a sound that is not needed any more

    async def _lead(self, playback: Playback) -> None:
        """Wait until the client has played enough of its sound."""
        while (ahead := playback.ahead(self._clock()) - self._delivery.lead) > 0 and not self._stopped.is_set():
            try:
                async with asyncio.timeout(ahead):
                    await self._stopped.wait()
            except TimeoutError:
                pass

    def _leave(self) -> None:
        """Keep the words heard of an item whose reader stopped early."""
        if self.playback is None or self.item_id in self._spoken:
            return
        item, now = self._history.find(self.item_id), self._clock()
        if isinstance(item, Message):
            self.playback.cut(self.playback.heard_ms(now), now)
            self._history.replace(replace(item, parts=(Audio.heard(self.playback.remembered),)))

    def _finished(self, playback: Playback) -> ItemDone:
        """Return the end of the item as it was sent; the conversation has the words that were heard."""
        done = self._done
        assert done is not None
        assert isinstance(done.item, Message)
        is_cut = self._stopped.is_set()
        sent = playback.sent if is_cut else playback.whole
        item = replace(done.item, parts=(Audio(sent),), status="incomplete" if is_cut else done.item.status)
        self._spoken[item.id] = item
        self._history.replace(replace(item, parts=(Audio.heard(playback.remembered),)))
        return replace(done, item=item)

    def _end(self, ended: TurnEnded) -> TurnEnded:
        items: tuple[Message | FunctionCall, ...] = tuple(self._spoken.get(item.id, item) for item in ended.items)
        if (early := self._early_end) is not None:
            ended = replace(ended, outcome=early.outcome, reason=early.reason, failure=early.failure)
        elif self._failure is not None and ended.failure is None:
            failure = TurnFailure("speech_failed", str(self._failure), self._failure.error_type)
            ended = replace(ended, outcome="failed", reason=None, failure=failure)
        return replace(ended, items=items)
