"""Passes the messages of one client to the handler of its dialect."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import WSMessage, WSMsgType, web

from charhost.web.protocol.client_events import CHARACTER_KINDS, Dialect, decoded, event_id_of
from charhost.web.protocol.client_settings import ClientSettings, settings_of
from charhost.web.protocol.server_events import BadEvent
from charhost.web.protocol.unmute_session import UnmuteSettings
from charhost.web.realtime.character_commands import CharacterCommands
from charhost.web.realtime.dialect import dialect_by
from charhost.web.realtime.openai import OpenAIHandler
from charhost.web.realtime.unmute import UnmuteHandler
from charhost.web.sessions.session import Session

# Seconds of silence after which a client is taken for one that waits for session.created.
DIALECT_DEADLINE = 2.0


class DialectHandler(Protocol):
    """The protocol of one client in its dialect."""

    def open(self) -> None:
        """Send the first event of this dialect, if it has one."""

    def close(self) -> None:
        """Cancel pending timers; the client is disconnecting."""

    def obey(self, event: dict[str, Any]) -> None:
        """Handle a client event; raises `BadEvent`, and then nothing was changed."""

    def refuse(self, error: BadEvent, event_id: str | None) -> None:
        """Send an `error` event about a client event."""


class Dispatcher:
    """Finds the dialect of one client, and passes its messages to the handler of that dialect.

    *request* is the upgrade.
    """

    def __init__(self, session: Session, tasks: asyncio.TaskGroup, request: web.Request) -> None:
        self._session = session
        self._tasks = tasks
        self._commands = CharacterCommands(session, tasks, request)
        self._handler: DialectHandler | None = None
        self._dialect_timer = asyncio.get_running_loop().call_later(DIALECT_DEADLINE, self._enter, "ga")
        if session.settings is not None:
            self._open(session.settings)

    def receive(self, message: WSMessage) -> None:
        """Handle one message; messages after the close message are ignored."""
        if self._session.closing.reason is not None:
            return
        try:
            if message.type is WSMsgType.TEXT:
                self._obey(message.data)
            elif message.type is WSMsgType.BINARY:
                self._refuse(BadEvent("invalid_event", "Send text frames only."), None)
            else:
                self._session.closing.record("error")
        except Exception:
            self._session.fail()

    def close(self) -> None:
        """Cancel pending timers; the client is disconnecting."""
        self._dialect_timer.cancel()
        if self._handler is not None:
            self._handler.close()

    def _obey(self, text: str) -> None:
        event: dict[str, Any] = {}
        try:
            event = decoded(text)
            handler = self._handler or self._enter(dialect_by(event))
            if event["type"] in CHARACTER_KINDS:
                self._commands.obey(event, handler.refuse)
            else:
                handler.obey(event)
        except BadEvent as e:
            self._refuse(e, event_id_of(event))

    def _refuse(self, error: BadEvent, event_id: str | None) -> None:
        handler = self._handler or self._enter("ga")
        handler.refuse(error, event_id)

    def _enter(self, dialect: Dialect) -> DialectHandler:
        return self._open(settings_of(dialect))

    def _open(self, settings: ClientSettings) -> DialectHandler:
        self._dialect_timer.cancel()
        self._session.configure(settings)
        handler: DialectHandler
        if isinstance(settings, UnmuteSettings):
            handler = UnmuteHandler(self._session, self._tasks, settings)
        else:
            handler = OpenAIHandler(self._session, self._tasks, settings)
        self._handler = handler
        handler.open()
        return handler
