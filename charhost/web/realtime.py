"""/v1/realtime: a socket and the character it talks to."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSMsgType, hdrs, web

from charhost.character import Character, CharacterSet
from charhost.events import BadEvent, SessionUpdate, error_event, parse, session_event, session_object
from charhost.web.keys import MANAGER, SESSIONS, SETTINGS
from charhost.web.problem import Problem
from charhost.web.sessions import Farewell, Session

MOST_MESSAGE_BYTES = 24 << 20
HEARTBEAT = 20


class _WithoutKeys(logging.Filter):
    """Hides what a client offered as subprotocols: aiohttp logs the whole offer when it selects none."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "overlap" not in str(record.msg)


logging.getLogger("aiohttp.websocket").addFilter(_WithoutKeys())


async def realtime(request: web.Request) -> web.StreamResponse:
    """Serve one WebSocket from the handshake to its end."""
    ws = web.WebSocketResponse(
        protocols=("realtime",), heartbeat=HEARTBEAT, compress=False, max_msg_size=MOST_MESSAGE_BYTES
    )
    if not ws.can_prepare(request):
        detail = "This is a WebSocket: connect with the ws scheme."
        raise Problem(426, "upgrade_required", detail, headers={hdrs.UPGRADE: "websocket"})
    await ws.prepare(request)
    # No await from here to the registration: a swap in between would leave the session on the old set, untold.
    current = request.app[MANAGER].current
    character = _chosen(request, current)
    if isinstance(character, Farewell):
        await _refuse(request, ws, character)
        return ws
    session = Session(request, ws, character, current.generation)
    session.choices = None if "model" in request.query else current
    with request.app[SESSIONS].register(session):
        session.send(_session_frame("session.created", session))
        await _converse(session, request.app[SETTINGS].close_grace)
    return ws


async def _converse(session: Session, grace: float) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(session.pump())
            async for message in session.ws:
                if message.type is WSMsgType.TEXT:
                    _obey(session, grace, message.data)
                elif message.type is WSMsgType.BINARY:
                    session.send(error_event("invalid_request_error", "invalid_event", "Send text frames only."))
                else:
                    session.ended_by = session.ended_by or "error"
            pump.cancel()
    except* ConnectionError:
        pass  # the client went away; there is nobody left to tell


def _obey(session: Session, grace: float, text: str) -> None:
    try:
        _apply(session, parse(text))
        session.send(_session_frame("session.updated", session))
    except BadEvent as e:
        session.send(error_event("invalid_request_error", e.code, str(e), e.param, e.event_id))
    except Exception:
        session.fail(grace)


def _apply(session: Session, event: SessionUpdate) -> None:
    """Take the wishes over; a model that names no character is ignored, as SDKs send one unasked."""
    choices, session.choices = session.choices, None
    if choices is not None and event.session.model is not None:
        session.character = choices.find(event.session.model) or session.character
    if event.session.instructions is not None:
        session.instructions = event.session.instructions


def _chosen(request: web.Request, characters: CharacterSet) -> Character | Farewell:
    name = request.query.get("model")
    if name is not None:
        return characters.find(name) or _farewell("model_not_found", f"The character {name!r} does not exist.")
    character = characters.default(request.app[SETTINGS].character)
    return character or _farewell("missing_model", "There is no character to talk to.")


def _farewell(code: str, message: str) -> Farewell:
    frame = error_event("invalid_request_error", code, message, "model")
    return Farewell(4004, f"invalid_request_error.{code}", code, frame)


async def _refuse(request: web.Request, ws: web.WebSocketResponse, farewell: Farewell) -> None:
    if request.transport is not None:  # cut off if it takes no notice
        asyncio.get_running_loop().call_later(request.app[SETTINGS].close_grace, request.transport.abort)
    try:
        if farewell.frame is not None:
            await ws.send_str(farewell.frame)
        await ws.close(code=farewell.code, message=farewell.close_reason, drain=False)
    except ConnectionError:
        pass


def _session_frame(kind: str, session: Session) -> str:
    return session_event(kind, session_object(session.id, session.character.name, session.instructions))
