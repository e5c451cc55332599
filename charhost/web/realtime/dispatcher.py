"""Passes the messages of one client to the handler of its dialect."""

import asyncio
from functools import partial
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from charhost.web.connections.ticks import Call
from charhost.web.keys import EARS, ENGINES, OFFLOAD, SESSIONS
from charhost.web.protocol.client_events import CHARACTER_KINDS, Dialect, decoded, event_id_of
from charhost.web.protocol.frames import EventRefused, InvalidEvent
from charhost.web.protocol.session_config import ClientSettings, settings_of
from charhost.web.protocol.unmute_session import UnmuteSettings
from charhost.web.realtime.character_commands import CharacterCommands
from charhost.web.realtime.client_dialect import dialect_by
from charhost.web.realtime.openai import OpenAIHandler
from charhost.web.realtime.unmute import UnmuteHandler
from charhost.web.sessions.session import Session

# Seconds of silence after which a client is taken for one that waits for session.created.
DIALECT_DEADLINE = 2.0


class Dispatcher:
    """Finds the dialect of one client, and passes its messages to the handler of that dialect."""

    def __init__(self, session: Session, tasks: asyncio.TaskGroup, request: web.Request) -> None:
        self._session = session
        self._tasks = tasks
        self._engines, self._ears = request.app[ENGINES], request.app[EARS]
        self._offload = request.app[OFFLOAD]
        self._commands = CharacterCommands(session, tasks, request)
        self._handler: OpenAIHandler | UnmuteHandler | None = None
        self._silence: Call | None = None  # of a client whose dialect is not known yet
        if session.settings is not None:
            self._open(session.settings)
        else:
            self._silence = request.app[SESSIONS].silence(DIALECT_DEADLINE, self._open_unasked)

    async def receive(self, message: WSMessage) -> None:
        """Handle one message; messages after the close message are ignored."""
        if self._session.closing.reason is not None:
            return
        try:
            if message.type is WSMsgType.TEXT:
                await self._obey(message.data)
            elif message.type is WSMsgType.BINARY:
                self._refuse(InvalidEvent("invalid_event", "Send text frames only."), None)
            else:
                self._session.closing.record("error")
            self._session.weigh()
        except Exception:
            self._session.fail()

    def close(self) -> None:
        """Cancel pending timers; the client is disconnecting."""
        self._end_silence()
        if self._handler is not None:
            self._handler.close()

    async def _obey(self, text: str) -> None:
        event: dict[str, Any] = {}
        self._end_silence()  # the client is silent no more, however long its message takes
        try:
            event = await self._offload.run(len(text), partial(decoded, text))
            if self._session.closing.reason is not None:  # meanwhile
                return
            handler = self._handler or self._open(self._settings(dialect_by(event)))
            if event["type"] in CHARACTER_KINDS:
                self._commands.obey(event, text, handler.refuse)
            elif isinstance(handler, OpenAIHandler):
                await handler.obey(event, len(text))
            else:
                await handler.obey(event)
        except EventRefused as e:
            self._refuse(e, event_id_of(event))

    def _end_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()

    def _open_unasked(self) -> None:
        if self._session.closing.reason is None:
            self._open(self._settings("ga"))

    def _refuse(self, error: EventRefused, event_id: str | None) -> None:
        (self._handler or self._open(self._settings("ga"))).refuse(error, event_id)

    def _settings(self, dialect: Dialect) -> ClientSettings:
        return settings_of(dialect, engines=self._engines)

    def _open(self, settings: ClientSettings) -> OpenAIHandler | UnmuteHandler:
        self._end_silence()
        self._session.configure(settings)
        if isinstance(settings, UnmuteSettings):
            # No event: clients of this dialect give up at a `session.created`.
            self._handler = UnmuteHandler(self._session, self._tasks, self._engines, self._ears)
        else:
            self._handler = OpenAIHandler(self._session, self._tasks, self._engines, self._ears)
            self._handler.open()
        return self._handler
