"""The responses of one session in unmute's dialect, with sound where the server has a voice."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from charhost.conversation.items import Message, Text
from charhost.conversation.turn_events import ItemDone, SoundDelta, SpokenEvent, TextDelta, TranscriptDelta, TurnFailure
from charhost.conversation.turn_input import TurnOptions
from charhost.errors import SessionUnavailable, TakenOver
from charhost.ids import new_id
from charhost.jsontext import Json
from charhost.speech.latency import Latency
from charhost.web.protocol.unmute_session import Instructions, UnmuteSettings
from charhost.web.realtime.active_turn import ActiveTurn
from charhost.web.realtime.loudspeaker import Loudspeaker
from charhost.web.realtime.session_tasks import SessionTasks
from charhost.web.realtime.unmute_emitter import UnmuteEmitter
from charhost.web.realtime.word_splitter import WordSplitter
from charhost.web.sessions.close_message import CloseMessage
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.speech.opus import OpusEncoder
    from charhost.speech.speech import Voice
    from charhost.web.sessions.work import RunningTurn

# Seconds in which a client may read, or hear, the last words.
GOODBYE_GRACE = 5.0
_AFTER_SOUND = 1.0
_GOODBYE = CloseMessage(1000, "The character ended the conversation. Bye!", "goodbye")

# Seconds of silence after which the character speaks, so many times in a row, and what it is told that the user said.
SILENCE = 7.0
_MOST_SILENCES = 3
_SILENT = "..."
# Seconds of the first answer that no sound interrupts: the client's echo cancellation has to learn first.
_UNINTERRUPTED = 3.0


@dataclass(eq=False)
class UnmuteTalk:
    """Begins the responses, and sends their events; with an *encoder* they are spoken, all in one stream.

    `instructions` are those of the user, `voice` the one that chose the character. `hears` is whether the user can
    speak.
    """

    _session: Session
    _tasks: SessionTasks
    _group: asyncio.TaskGroup
    _emitter: UnmuteEmitter
    _loudspeaker: Loudspeaker
    instructions: Instructions | None = None
    voice: str | None = None
    encoder: OpusEncoder | None = None
    hears: bool = False
    active: ActiveTurn = field(default_factory=ActiveTurn)
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock)
    _silence: asyncio.TimerHandle | None = None
    _silences: int = 0
    _first_began: float | None = None

    async def greet(self) -> None:
        await self._begin(TurnOptions())

    async def answer(self, words: str | None = None, latency: Latency | None = None) -> None:
        """Begin the response to a turn of the user, after the running one; with *words* the character says these."""
        await self._begin(TurnOptions(words=words, may_greet=False), latency)

    @property
    def may_be_interrupted(self) -> bool:
        return self._first_began is None or _now() - self._first_began > _UNINTERRUPTED

    def heard(self) -> None:
        """Take note that the user speaks."""
        self._silences = 0
        self._end_silence()

    def close(self) -> None:
        self._loudspeaker.cut()
        self._end_silence()

    async def _begin(self, options: TurnOptions, latency: Latency | None = None) -> None:
        async with self._beginning:  # in order: to look for a voice takes a while, too
            await self.active.free()
            if self._session.closing.reason is not None:
                return
            self._end_silence()
            self._session.choose(None)
            voice = await self._loudspeaker.voice() if self.encoder is not None else None
            if self._session.closing.reason is None:  # nor meanwhile
                self._respond(replace(options, instructions=self._user_instructions()), voice, latency)

    def _respond(self, options: TurnOptions, voice: Voice | None, latency: Latency | None) -> None:
        words = _Words(self._emitter.emit, self._session.outbox.room, is_heard=voice is not None)
        written = self._session.conversation.respond(options)
        turn: RunningTurn = written
        if voice is not None and self.encoder is not None:
            turn = self._loudspeaker.paced(written, self.encoder, voice, words.said, latency)
        self.active.begin(turn)
        if self.hears:
            self._show_history()  # with the words of the user, which no other event has as a whole
        response = {
            "object": "realtime.response",
            "status": "in_progress",
            "voice": self.voice or self._session.name,
            "chat_history": self._chat_history(),
        }
        self._emitter.emit("response.created", response=response)
        self._session.work.begin(turn, self._send_events(turn, words), self._group)

    async def _send_events(self, turn: RunningTurn, words: _Words) -> None:
        try:
            events: AsyncGenerator[SpokenEvent, None] = turn.events()
            async with aclosing(events):
                async for event in events:
                    self._loudspeaker.count(event)
                    await self._send(event, words)
                    await self._session.outbox.room()
            self._session.weigh()
            await self._session.settled()
            self._end(turn, words)
        except (TakenOver, SessionUnavailable):
            pass  # the close message says so
        except Exception:
            self._session.fail()
        finally:
            self._loudspeaker.play()
            self.active.end(turn)

    async def _send(self, event: SpokenEvent, words: _Words) -> None:
        match event:
            case TextDelta(text=text):
                await words.said(text)
            case ItemDone():
                await words.end()
            case TranscriptDelta(text=text):
                for word in text.split():
                    self._emitter.emit("response.text.delta", delta=word)
                    await self._session.outbox.room()
            case SoundDelta(data=data):
                self._first_began = self._first_began or _now()
                self._send_sound(data)
                words.has_sound = True

    def _send_sound(self, pages: bytes) -> None:
        self._emitter.emit("response.audio.delta", delta=binascii.b2a_base64(pages, newline=False).decode())

    def _end(self, turn: RunningTurn, words: _Words) -> None:
        ended, text = turn.ended, "".join(words.ready)
        if ended is not None and ended.reason == "turn_detected":
            self._emitter.emit("unmute.interrupted_by_vad")
            if self.encoder is not None and words.has_sound:
                self._send_sound(self.encoder.drop())
            return
        self._emitter.emit("response.text.done", text=text)
        self._show_history()
        if words.has_sound:
            self._emitter.emit("response.audio.done")
        if self._session.closing.reason is not None:
            return  # the close message gives the reason
        if ended is not None and ended.failure is not None:
            self._fail(ended.failure, has_words=bool(text))
        elif text.lower().endswith("bye!"):
            self._say_goodbye(words.has_sound)
        elif self.hears:
            self._await_silence()

    def _user_instructions(self) -> str:
        """Return the instructions of the user, unless they are those of the character, which the model has already."""
        instructions = self.instructions
        if instructions is None or instructions.type != "constant" or instructions.text is None:
            return ""
        return instructions.text if instructions.text != self._session.character.instructions.get("text") else ""

    def _fail(self, failure: TurnFailure, has_words: bool) -> None:
        """Send the error of a response; after one without words the next `session.update` is greeted."""
        settings = self._session.settings
        assert isinstance(settings, UnmuteSettings)
        if not has_words:
            self._session.configure(settings.model_copy(update={"greeted": False}))
        self._emitter.emit_error("server_error", failure.message, failure.code)

    def _say_goodbye(self, has_sound: bool) -> None:
        delay = self._loudspeaker.ahead + _AFTER_SOUND if has_sound else 0.0
        closing = self._session.closing
        asyncio.get_running_loop().call_later(delay, lambda: closing.close(_GOODBYE, GOODBYE_GRACE))

    def _await_silence(self) -> None:
        delay = self._loudspeaker.ahead + SILENCE
        self._silence = asyncio.get_running_loop().call_later(delay, self._break_silence)

    def _break_silence(self) -> None:
        """Have the character speak, since the user says nothing; a client that was left alone is not talked to."""
        if self._silences < _MOST_SILENCES and self.active.turn is None and self._session.closing.reason is None:
            self._silences += 1
            message = Message(id=new_id("item"), role="user", parts=(Text(_SILENT),))
            self._session.conversation.history.append(message)
            self._tasks.run(self.answer())

    def _end_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _show_history(self) -> None:
        if history := self._chat_history():
            args = {"chat_history": history, "debug_dict": {}, "debug_plot_data": []}
            self._emitter.emit("unmute.additional_outputs", args=args)

    def _chat_history(self) -> list[Json]:
        messages = [item for item in self._session.conversation.history if isinstance(item, Message)]
        return [{"role": message.role, "content": message.said} for message in messages if message.said]


class _Words:
    """The words of one response, as the model writes them; without sound they are spoken at once."""

    def __init__(self, emit: Callable[..., None], room: Callable[[], Awaitable[None]], is_heard: bool) -> None:
        self.ready: list[str] = []
        self.has_sound = False
        self._emit = emit
        self._room = room
        self._is_heard = is_heard
        self._splitter = WordSplitter()

    async def said(self, text: str) -> None:
        await self._add(self._splitter.take(text))

    async def end(self) -> None:
        await self._add(self._splitter.end())

    async def _add(self, words: Iterable[str]) -> None:
        for word in words:
            self.ready.append(word)
            self._emit("unmute.response.text.delta.ready", delta=word)
            if not self._is_heard:
                self._emit("response.text.delta", delta=word.lstrip())
            await self._room()


def _now() -> float:
    return asyncio.get_running_loop().time()
