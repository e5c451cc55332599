"""unmute's dialect: clients send audio and receive words and sound, and the character speaks first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from charhost.jsontext import Json
from charhost.memory.weight import weigh
from charhost.speech.engines import NO_ENGINES, Engines
from charhost.web.protocol.client_events import CHARACTER_KINDS, MOST_TEXT, AudioAppend, unknown_type, valid
from charhost.web.protocol.frames import EventRefused, InvalidEvent
from charhost.web.protocol.session_params import TurnDetection, complete
from charhost.web.protocol.unmute_session import UnmuteParams, UnmuteSettings, UnmuteUpdate
from charhost.web.realtime.answers import Answers
from charhost.web.realtime.audio_buffer import decoded
from charhost.web.realtime.loudspeaker import Loudspeaker
from charhost.web.realtime.microphone import AudioInput, Microphone
from charhost.web.realtime.session_tasks import SessionTasks
from charhost.web.realtime.transcriber import Transcriber
from charhost.web.realtime.unmute_emitter import UnmuteEmitter
from charhost.web.realtime.unmute_talk import UnmuteTalk
from charhost.web.realtime.unmute_transcripts import UnmuteTranscripts
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.speech.ears import Ears
    from charhost.speech.opus import OpusEncoder

_KINDS = ("session.update", "input_audio_buffer.append", *CHARACTER_KINDS)

# By whether speech interrupts.
_DETECTION = {may: complete(TurnDetection(interrupt_response=may)) for may in (True, False)}

# Seconds for which the character waits for audio of a configured client before it speaks.
GREETING_DELAY = 1.0


@dataclass(eq=False)
class UnmuteHandler:
    """Handles the events of one client.

    Clients send no text. The character speaks first, at the first audio after a `session.update` or GREETING_DELAY
    after it, and, where the server can hear, responds to each turn of the user. Until it has spoken the last `voice`
    that fits a character chooses it; for another one afterwards clients connect again.
    """

    _session: Session
    _tasks: asyncio.TaskGroup
    _engines: Engines = NO_ENGINES
    _ears: Ears | None = None
    _greeting: asyncio.TimerHandle | None = None
    _has_refused_audio: bool = False

    def __post_init__(self) -> None:
        self._emitter = UnmuteEmitter(self._session)
        self._work = SessionTasks(self._session, self._tasks)
        loudspeaker = Loudspeaker(self._session, self._engines)
        self._talk = UnmuteTalk(
            self._session, self._work, self._tasks, self._emitter, loudspeaker, self._settings.params.instructions
        )
        self._talk.encoder = _encoder(self._engines)
        self._talk.hears = self._engines.hearing is not None
        self._microphone = self._opened_microphone(loudspeaker)

    def _opened_microphone(self, loudspeaker: Loudspeaker) -> Microphone | None:
        if self._engines.hearing is None or self._ears is None:
            return None
        emit = UnmuteTranscripts(self._emitter, self._talk.heard).emit
        transcriber = Transcriber(self._session, self._work, self._engines.hearing, emit, self._ears.finish)
        answers = Answers(self._session, self._talk, loudspeaker)
        chosen = partial(_audio_input, self._talk)
        return Microphone(self._session, self._work, self._ears, emit, transcriber, answers, chosen)

    def close(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
        self._talk.close()
        if self._microphone is not None:
            self._microphone.close()

    async def obey(self, event: Json) -> None:
        """Handle a client event; raises `InvalidEvent`, and then nothing was changed."""
        match event["type"]:
            case "session.update":
                self._update(valid(UnmuteUpdate, event).session)
            case "input_audio_buffer.append":
                await self._take_audio(event)
            case _:
                raise unknown_type(event, _KINDS)

    def refuse(self, error: EventRefused, event_id: str | None) -> None:
        if isinstance(error, InvalidEvent):
            self._emitter.emit_error(error.kind, "Invalid message", str(error))
        else:
            self._emitter.emit_error(error.kind, str(error), error.report, error.code)

    def _update(self, params: UnmuteParams) -> None:
        if len(to_json(params)) > MOST_TEXT:  # it is sent back, and many clients take no more than 1 MiB
            raise InvalidEvent("invalid_value", f"Invalid 'session': it has more than {MOST_TEXT:,} bytes.", "session")
        self._session.insist_on_room(weigh(params))
        self._choose(params.voice)
        self._talk.instructions = params.instructions or self._talk.instructions
        self._configure(params=params)
        self._session.note()
        self._emitter.emit("session.updated", session=params.as_received)
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
            self._talk.voice = voice

    async def _take_audio(self, event: Json) -> None:
        try:
            page = await decoded(valid(AudioAppend, event).audio)
        except InvalidEvent:
            if self._has_refused_audio:  # a client sends 25 of these a second, and shows its user each error
                return
            self._has_refused_audio = True
            raise
        if self._greeting is not None:
            self._greet()
        if self._microphone is not None and page:
            self._microphone.configure()
            self._microphone.take(page)

    def _greet(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None
        try:
            if not self._session.closing.is_ending:
                self._configure(greeted=True)
                self._work.run(self._talk.greet())
        except Exception:
            self._session.fail()


def _encoder(engines: Engines) -> OpusEncoder | None:
    if engines.speech is None:
        return None
    from charhost.speech.opus import OpusEncoder  # numpy, which only a server with a voice has use for

    return OpusEncoder()


def _audio_input(talk: UnmuteTalk) -> AudioInput:
    return AudioInput("audio/ogg", _DETECTION[talk.may_be_interrupted])
