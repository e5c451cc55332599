"""/v1/realtime: the handshake, and a session over the WebSocket."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import hdrs, web

from charhost.character.character import Character, CharacterSet
from charhost.character.host_tools import Host
from charhost.conversation.conversation import Conversation
from charhost.reload.reload_tools import HostTools
from charhost.resume.saved_session import Parked
from charhost.web.keys import AUTHORITY, CONVERSATIONS, JOURNAL, MANAGER, METRICS, PARKING, SESSIONS, SETTINGS
from charhost.web.middleware import insist
from charhost.web.openapi.operation import Operation, Parameter, Response
from charhost.web.problems import Problem
from charhost.web.protocol.client_settings import ClientSettings, settings_of
from charhost.web.realtime.dialect import dialect_of, known_dialect
from charhost.web.realtime.dispatcher import Dispatcher
from charhost.web.security.authority import KEY_PROTOCOL
from charhost.web.sessions.close_message import CloseMessage, refused, removed, taken_over
from charhost.web.sessions.outbox import abort
from charhost.web.sessions.session import Session

MOST_MESSAGE_BYTES = 24 << 20
HEARTBEAT = 20


class _WithoutKeys(logging.Filter):
    """Drops records that show a key: aiohttp logs all offered subprotocols when it selects none of them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return KEY_PROTOCOL not in record.getMessage()


logging.getLogger("aiohttp.websocket").addFilter(_WithoutKeys())


_REALTIME = Operation(
    "A conversation with a character over a WebSocket",
    "Talk",
    description=(
        "OpenAI's Realtime protocol in its current and its beta dialect, and unmute's, in text frames of JSON. The "
        "subprotocol is `realtime` or none; a browser sends its key as the subprotocol `openai-insecure-api-key.KEY`. "
        "An unknown character is refused after the upgrade: an `error` event, then close code 4004. A reload closes "
        "with 1012."
    ),
    needs="chat",
    refuses=True,
    parameters=(
        Parameter("model", "query", "The character; without it the default one."),
        Parameter("resume", "query", "The id of a session that was lost, to go on with its conversation."),
    ),
    responses={101: Response("The WebSocket is open.")},
    errors={
        426: Response("The request is no upgrade.", headers={hdrs.UPGRADE: "`websocket`"}),
        503: Response("There are `--max-sessions` conversations already.", headers={hdrs.RETRY_AFTER: "Seconds."}),
    },
)


@_REALTIME
async def realtime(request: web.Request) -> web.StreamResponse:
    """Serve one WebSocket."""
    ws = web.WebSocketResponse(
        protocols=("realtime",), heartbeat=HEARTBEAT, compress=False, max_msg_size=MOST_MESSAGE_BYTES
    )
    refusal = _key_refusal(request)
    if not ws.can_prepare(request):
        detail = "This is a WebSocket: connect with the ws scheme."
        raise Problem(426, "upgrade_required", detail, headers={hdrs.UPGRADE: "websocket"})
    if refusal is not None:
        await ws.prepare(request)
        await _refuse(request, ws, refusal)
        return ws
    with request.app[SESSIONS].admitted() as has_room:
        if not has_room:
            most = request.app[SETTINGS].max_sessions
            detail = f"The server is at its limit of {most:,} sessions; try again later."
            raise Problem(503, "too_many_sessions", detail, headers={hdrs.RETRY_AFTER: "5"})
        await ws.prepare(request)
        resume = request.query.get("resume")
        saved = await _claimed(request, resume) if resume is not None else None
        # No await from here to the registration: a swap in between would leave the session on the old set.
        session = _new(request, ws) if resume is None else _resumed(request, ws, saved)
        if isinstance(session, CloseMessage):
            await _refuse(request, ws, session)
        else:
            with request.app[SESSIONS].register(session):
                await _serve(request, session)
    return ws


async def _serve(request: web.Request, session: Session) -> None:
    try:
        await _converse(request, session)
    except asyncio.CancelledError as e:
        # The traceback has a frame of TaskGroup that refers to the error: this cycle would keep the session alive.
        e.__traceback__ = None
        raise
    finally:
        if session.may_return:
            request.app[PARKING].put(session.parked)
        else:
            request.app[JOURNAL].forget(session.id)


async def _converse(request: web.Request, session: Session) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(session.outbox.pump(session.ws))
            dispatcher = Dispatcher(session, tasks, request)
            try:
                async for message in session.ws:
                    dispatcher.receive(message)
                    if session.outbox.is_crowded:
                        # Messages of one packet are read without a pause, in which no response could leave.
                        await asyncio.sleep(0)
            finally:
                dispatcher.close()
            pump.cancel()
            session.drop_work()
    except* ConnectionError:
        pass  # the client is gone


def _new(request: web.Request, ws: web.WebSocketResponse) -> Session | CloseMessage:
    current = request.app[MANAGER].current
    character = _chosen(request, current)
    if isinstance(character, CloseMessage):
        return character
    conversation = request.app[CONVERSATIONS].open(character, "realtime", host=_host(request))
    choices = None if request.query.get("model") else current
    dialect = dialect_of(request)
    settings = settings_of(dialect) if dialect is not None else None
    session = _session(request, ws, conversation, request[AUTHORITY].owner, choices=choices, settings=settings)
    session.note()
    return session


def _session(
    request: web.Request,
    ws: web.WebSocketResponse,
    conversation: Conversation,
    owner: str,
    session_id: str | None = None,
    choices: CharacterSet | None = None,
    settings: ClientSettings | None = None,
) -> Session:
    app = request.app
    return Session(
        request,
        ws,
        conversation,
        app[JOURNAL],
        generation=app[MANAGER].current.generation,
        owner=owner,
        session_id=session_id,
        choices=choices,
        settings=settings,
        longest_wait=app[SESSIONS].longest_wait,
        close_grace=app[SETTINGS].close_grace,
    )


def _host(request: web.Request) -> Host | None:
    """Return the host's own tools for an admin."""
    return HostTools(request.app[MANAGER], request.app[SETTINGS].drain) if request[AUTHORITY].admin else None


def _chosen(request: web.Request, characters: CharacterSet) -> Character | CloseMessage:
    for field in ("call_id", "intent"):
        if field in request.query:
            return refused("invalid_value", f"{field} is not supported: this server holds conversations only.", field)
    if name := request.query.get("model"):
        found = characters.find(name)
        return found or refused("model_not_found", f"The character {name!r} does not exist.", "model")
    default = characters.default(request.app[SETTINGS].character)
    return default or refused("missing_model", "There is no character to talk to.", "model")


async def _claimed(request: web.Request, resume: str) -> Parked | None:
    """Claim a session, also from another connection that holds it, or that has claimed it while this one waited."""
    disconnected, owner = request.app[PARKING], request[AUTHORITY].owner
    saved = await disconnected.claim(resume, owner)
    if saved is None and await _end_elsewhere(request, resume):
        saved = await disconnected.claim(resume, owner)
    return saved


async def _end_elsewhere(request: web.Request, resume: str) -> bool:
    """Close the connection that holds the session: a client often notices a lost connection before the server does."""
    sessions, owner, ended = request.app[SESSIONS], request[AUTHORITY].owner, False
    while (held := sessions.find(resume, owner)) is not None:
        held.work.cancel_commands()  # only their responses: the reloads go on, and this must not wait for them
        held.closing.close(taken_over(), request.app[SETTINGS].close_grace)
        await held.gone.wait()
        ended = True
    return ended


def _resumed(request: web.Request, ws: web.WebSocketResponse, parked: Parked | None) -> Session | CloseMessage:
    current, metrics = request.app[MANAGER].current, request.app[METRICS]
    if parked is None:
        metrics.sessions_resume_refused.inc()
        return refused(
            "session_not_found", "There is no session with that id to resume; it may have expired.", "resume"
        )
    character = current.find(parked.character)
    if character is None:
        request.app[PARKING].give_back(parked)
        metrics.sessions_resume_refused.inc()
        return removed(parked.character, "it is not among the characters any more")
    metrics.sessions_resumed.inc()
    conversation = request.app[CONVERSATIONS].open(
        character, "realtime", parked.conversation_id, parked.items, _host(request)
    )
    dialect = known_dialect(parked.dialect)
    settings = settings_of(dialect, parked.config) if dialect is not None else None
    return _session(request, ws, conversation, parked.owner, session_id=parked.id, settings=settings)


def _key_refusal(request: web.Request) -> CloseMessage | None:
    """Refuse a wrong key; a web page, which sends it as a subprotocol, cannot read the status of a handshake."""
    try:
        insist(request, "chat")
    except Problem as e:
        if not request[AUTHORITY].key_in_subprotocol:
            raise
        return refused("invalid_api_key", e.detail, close_code=3000)
    return None


async def _refuse(request: web.Request, ws: web.WebSocketResponse, message: CloseMessage) -> None:
    # The client may not take the close message.
    asyncio.get_running_loop().call_later(request.app[SETTINGS].close_grace, abort, request)
    try:
        if message.frame is not None:
            await ws.send_str(message.frame)
        await ws.close(code=message.code, message=message.close_reason, drain=False)
    except ConnectionError:
        pass
