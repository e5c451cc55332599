"""Desk: takes one client's messages, from the first to the last."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from charhost.web.keys import SETTINGS
from charhost.web.protocol.client_events import CHARACTER_KINDS, Dialect, decoded, event_id_of
from charhost.web.protocol.server_events import BadEvent
from charhost.web.realtime.character_commands import Characters
from charhost.web.realtime.dialect import dialect_by
from charhost.web.realtime.openai import OpenAIDoor
from charhost.web.realtime.unmute import UnmuteDoor
from charhost.web.sessions.session import Door, Session

# How long a client may say nothing before it is taken for one that waits for session.created.
PATIENCE = 2.0


class Desk:
    """Finds out which dialect the client speaks, and hands its messages to the door of that dialect.

    *request* is the upgrade.
    """

    def __init__(
        self,
        session: Session,
        tasks: asyncio.TaskGroup,
        request: web.Request,
    ) -> None:
        self._session = session
        self._tasks = tasks
        self._grace = request.app[SETTINGS].close_grace
        self._characters = Characters(session, tasks, request, self._fail)
        self._fault = "server_error"
        self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._enter, "ga")
        if session.dialect is not None:
            self._enter(session.dialect)

    def receive(self, message: WSMessage) -> None:
        """Do what one message says; what comes after the farewell is not heard any more."""
        if self._session.ended_by is not None:
            return
        try:
            if message.type is WSMsgType.TEXT:
                self._obey(message.data)
            elif message.type is WSMsgType.BINARY:
                self._refuse(BadEvent("invalid_event", "Send text frames only."), None)
            else:
                self._session.ended_by = "error"
        except Exception:
            self._fail()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._patience.cancel()
        if self._session.door is not None:
            self._session.door.close()

    def _obey(self, text: str) -> None:
        event: dict[str, Any] = {}
        try:
            event = decoded(text)
            door = self._session.door or self._enter(dialect_by(event))
            if event["type"] in CHARACTER_KINDS:
                self._characters.obey(event, door)
            else:
                door.obey(event)
        except BadEvent as e:
            self._refuse(e, event_id_of(event))

    def _refuse(self, error: BadEvent, event_id: str | None) -> None:
        door = self._session.door or self._enter("ga")
        door.refuse(error, event_id)

    def _fail(self) -> None:
        self._session.fail(self._grace, self._fault)

    def _enter(self, dialect: Dialect) -> Door:
        self._patience.cancel()
        door: Door
        if dialect == "unmute":
            self._fault = "fatal"
            door = UnmuteDoor(self._session, self._tasks, self._fail, self._session.config)
        else:
            door = OpenAIDoor(self._session, self._tasks, dialect, self._fail, self._session.config)
        self._session.door = door
        door.open()
        return door
