"""unmute's dialect: clients send audio and receive words, and the character speaks first."""

import asyncio
import binascii
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from charhost.conversation.items import Message
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import ItemDone, TextDelta, TurnEvent
from charhost.conversation.turn_input import TurnOptions
from charhost.errors import TakenOver
from charhost.jsontext import Json
from charhost.memory.weight import weigh
from charhost.web.protocol.client_events import CHARACTER_KINDS, MOST_TEXT, AudioAppend, unknown_type, valid
from charhost.web.protocol.frames import EventRefused, InvalidEvent, frame
from charhost.web.protocol.unmute_session import UnmuteParams, UnmuteSettings, UnmuteUpdate
from charhost.web.realtime.word_splitter import WordSplitter
from charhost.web.sessions.close_message import CloseMessage
from charhost.web.sessions.session import Session

_KINDS = ("session.update", "input_audio_buffer.append", *CHARACTER_KINDS)

# Seconds for which the character waits for audio of a configured client before it speaks.
GREETING_DELAY = 1.0

# Seconds in which a client may read the last words.
GOODBYE_GRACE = 5.0
_GOODBYE = CloseMessage(1000, "The character ended the conversation. Bye!", "goodbye")


@dataclass(eq=False)
class UnmuteHandler:
    """Handles the events of one client.

    Clients send no text, and audio is not supported, so there is one response: the greeting of the character,
    at the first audio after a `session.update` or GREETING_DELAY after it. Until then the last `voice` that fits a
    character chooses it; for another one afterwards clients connect again.
    """

    _session: Session
    _tasks: asyncio.TaskGroup
    _voice: str | None = None
    _greeting: asyncio.TimerHandle | None = None
    _has_refused_audio: bool = False

    def __post_init__(self) -> None:
        self._instructions = self._settings.params.instructions

    def close(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()

    def obey(self, event: Json) -> None:
        """Handle a client event; raises `InvalidEvent`, and then nothing was changed."""
        match event["type"]:
            case "session.update":
                self._update(valid(UnmuteUpdate, event).session)
            case "input_audio_buffer.append":
                self._check_audio(event)
            case _:
                raise unknown_type(event, _KINDS)

    def refuse(self, error: EventRefused, event_id: str | None) -> None:
        if isinstance(error, InvalidEvent):
            self._emit_error(error.kind, "Invalid message", str(error))
        else:
            self._emit_error(error.kind, str(error), error.report, error.code)

    def _update(self, params: UnmuteParams) -> None:
        if len(to_json(params)) > MOST_TEXT:  # it is sent back, and many clients take no more than 1 MiB
            raise InvalidEvent("invalid_value", f"Invalid 'session': it has more than {MOST_TEXT:,} bytes.", "session")
        self._session.insist_on_room(weigh(params))
        self._choose(params.voice)
        self._instructions = params.instructions or self._instructions
        self._configure(params=params)
        self._session.note()
        self._emit("session.updated", session=params.as_received)
        if self._greeting is None and not self._settings.greeted:
            self._greeting = asyncio.get_running_loop().call_later(GREETING_DELAY, self._greet)

    @property
    def _settings(self) -> UnmuteSettings:
        settings = self._session.settings
        assert isinstance(settings, UnmuteSettings)
        return settings

    def _configure(self, **changes: Any) -> None:
        self._session.configure(self._settings.model_copy(update=changes))

    def _choose(self, voice: str | None) -> None:
        choices = self._session.choices
        if choices is None or voice is None:
            return
        if (found := choices.find(voice) or choices.find_voice(voice)) is not None:
            self._session.take(found)
            self._voice = voice

    def _check_audio(self, event: Json) -> None:
        try:
            binascii.a2b_base64(valid(AudioAppend, event).audio, strict_mode=True)
        except (InvalidEvent, ValueError) as e:
            if self._has_refused_audio:  # a client sends 25 of these a second, and shows its user each error
                return
            self._has_refused_audio = True
            raise InvalidEvent("invalid_value", f"Invalid 'audio': {e}", "audio") from None
        if self._greeting is not None:
            self._greet()

    def _greet(self) -> None:
        self.close()
        self._greeting = None
        try:
            if not self._session.closing.is_ending:
                self._configure(greeted=True)
                self._speak()
        except Exception:
            self._session.fail()

    def _speak(self) -> None:
        self._session.choose(None)
        turn = self._session.conversation.respond(TurnOptions(instructions=self._user_instructions()))
        response = {
            "object": "realtime.response",
            "status": "in_progress",
            "voice": self._voice or self._session.name,
            "chat_history": self._chat_history(),
        }
        self._emit("response.created", response=response)
        self._session.work.begin(turn, self._send_events(turn), self._tasks)

    def _user_instructions(self) -> str:
        """Return the instructions of the user, unless they are those of the character, which the model has already."""
        instructions = self._instructions
        if instructions is None or instructions.type != "constant" or instructions.text is None:
            return ""
        return instructions.text if instructions.text != self._session.character.instructions.get("text") else ""

    async def _send_events(self, turn: Turn) -> None:
        words, sent = WordSplitter(), []
        try:
            async with aclosing(turn.events()) as events:
                async for event in events:
                    for word in _words(event, words):
                        sent.append(word)
                        self._emit("unmute.response.text.delta.ready", delta=word)
                        self._emit("response.text.delta", delta=word.lstrip())
                        await self._session.outbox.room()
            self._session.weigh()
            await self._session.settled()
            self._end(turn, "".join(sent))
        except TakenOver:
            pass  # the close message says so
        except Exception:
            self._session.fail()

    def _end(self, turn: Turn, text: str) -> None:
        self._emit("response.text.done", text=text)
        if history := self._chat_history():
            args = {"chat_history": history, "debug_dict": {}, "debug_plot_data": []}
            self._emit("unmute.additional_outputs", args=args)
        if self._session.closing.reason is not None:
            return  # the close message gives the reason
        if turn.ended is not None and turn.ended.failure is not None:
            if not text:  # the next session.update is greeted
                self._configure(greeted=False)
            self._emit_error("server_error", turn.ended.failure.message, turn.ended.failure.code)
        elif text.lower().endswith("bye!"):
            self._session.closing.close(_GOODBYE, GOODBYE_GRACE)

    def _chat_history(self) -> list[Json]:
        messages = [item for item in self._session.conversation.history if isinstance(item, Message)]
        return [{"role": message.role, "content": message.text} for message in messages]

    def _emit(self, kind: str, **fields: Any) -> None:
        self._session.send(frame(kind, **fields))

    def _emit_error(self, kind: str, message: str, details: Any, code: str | None = None) -> None:
        fields = {"type": kind, "code": code, "message": message, "param": None, "details": details}
        self._emit("error", error=fields)


def _words(event: TurnEvent, words: WordSplitter) -> Iterable[str]:
    match event:
        case TextDelta(text=piece):
            return words.take(piece)
        case ItemDone():
            return words.end()
    return ()
