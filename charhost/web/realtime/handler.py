"""/v1/realtime: the handshake, and a session over the WebSocket."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

from aiohttp import WSMsgType, hdrs, web

from charhost.character.character import normal
from charhost.conversation.history import History
from charhost.errors import EngineError, SessionUnavailable, SetNotFound
from charhost.ids import new_id
from charhost.reload.reload_tools import HostTools
from charhost.resume.saved_session import SavedSession
from charhost.sets.view import FoundCharacter, SetsView, full_name
from charhost.web.caller_view import SET, view_of
from charhost.web.http.middleware import insist
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem
from charhost.web.keys import (
    AUTHORITY,
    BUDGET,
    CONVERSATIONS,
    DISCONNECTED,
    ENGINES,
    GATE,
    METRICS,
    READERS,
    SESSION_WRITER,
    SESSIONS,
    SETS,
    SETTINGS,
)
from charhost.web.protocol.session_config import settings_of
from charhost.web.realtime.client_dialect import dialect_of, known_dialect
from charhost.web.realtime.dispatcher import Dispatcher
from charhost.web.security.authority import KEY_PROTOCOL
from charhost.web.sessions.close_message import CloseMessage, refused, removed, taken_over, unavailable
from charhost.web.sessions.heartbeat import Heartbeat
from charhost.web.sessions.outbox import abort
from charhost.web.sessions.session import LEAST_BYTES, Session

MOST_MESSAGE_BYTES = 24 << 20

# When it selects no subprotocol, aiohttp logs all that were offered, among them the key.
logging.getLogger("aiohttp.websocket").addFilter(lambda record: KEY_PROTOCOL not in record.getMessage())

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
        Parameter("model", "query", "The character, `set/name` for one of another set; without it the default one."),
        SET,
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
    # Without aiohttp's pings and pongs: a pong is a sign of the client, and its heartbeat closes without a close frame.
    ws = web.WebSocketResponse(protocols=("realtime",), autoping=False, compress=False, max_msg_size=MOST_MESSAGE_BYTES)
    refusal = _key_refusal(request)
    if not ws.can_prepare(request):
        detail = "This is a WebSocket: connect with the ws scheme."
        raise Problem(426, "upgrade_required", detail, headers={hdrs.UPGRADE: "websocket"})
    if refusal is not None:
        await ws.prepare(request)
        await _refuse(request, ws, refusal)
        return ws
    with request.app[SESSIONS].admitted() as has_room:
        if not (has_room and request.app[BUDGET].has_room(LEAST_BYTES)):
            most = request.app[SETTINGS].max_sessions
            detail = f"The server is at its limit of {most:,} sessions; try again later."
            raise Problem(503, "too_many_sessions", detail, headers={hdrs.RETRY_AFTER: "5"})
        await ws.prepare(request)
        resume = request.query.get("resume")
        try:
            if resume is None:
                await _claim_secret(request)
            saved = await _claimed(request, resume) if resume is not None else None
        except (SessionUnavailable, EngineError):
            await _refuse(request, ws, unavailable())
            return ws
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
        session.close_memory()
        if request.app[SESSION_WRITER].abandon(session.id):
            pass  # another node of the fleet has it
        elif session.may_return:
            request.app[DISCONNECTED].put(session.saved)
        else:
            request.app[SESSION_WRITER].forget(session.id)


async def _converse(request: web.Request, session: Session) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            request.app[READERS].watch(request, partial(_cut, session))
            session.begin_to_receive()
            pump = tasks.create_task(session.outbox.pump(session.ws))
            dispatcher = Dispatcher(session, tasks, request)
            heartbeat = Heartbeat(session, request.app[SETTINGS].heartbeat_timeout)
            try:
                await _read(session, dispatcher, heartbeat)
            finally:
                heartbeat.stop()
                dispatcher.close()
                await session.closing.released()
                await request.app[SESSIONS].ending.turn()
            pump.cancel()
            session.drop_work()
    except* ConnectionError:
        pass  # the client has left


async def _read(session: Session, dispatcher: Dispatcher, heartbeat: Heartbeat) -> None:
    async for message in session.ws:
        heartbeat.reset()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and session.incoming is not None:
            session.incoming.delivered()
        if message.type is WSMsgType.PING:
            await session.ws.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            await dispatcher.receive(message)
        await session.outbox.room()  # no more questions before the client has taken the answers


def _cut(session: Session) -> None:
    if session.closing.reason is None:
        session.closing.record("stalled")
    abort(session.request)


async def _claim_secret(request: web.Request) -> None:
    """Use the client secret up in the whole fleet; one that was used at another node counts as used here, too."""
    secret, secrets = request[AUTHORITY].secret, request.app[GATE].secrets
    if secret is None:
        return
    with suppress(SetNotFound):
        is_wanted = isinstance(_chosen(request, view_of(request)), FoundCharacter)
        if is_wanted and not await secrets.claim(secret):
            secrets.use_up(secret)


def _new(request: web.Request, ws: web.WebSocketResponse) -> Session | CloseMessage:
    try:
        view = view_of(request)
    except SetNotFound as e:
        return refused(e.code, e.detail, "set")
    found = _chosen(request, view)
    if isinstance(found, CloseMessage):
        return found
    secret = request[AUTHORITY].secret
    if secret is not None and not request.app[GATE].secrets.use_up(secret):
        return refused("invalid_api_key", "This client secret has opened its session already.", close_code=3000)
    may_choose = secret is None and not request.query.get("model")
    session = _session(request, ws, found, choices=view if may_choose else None)
    session.note()
    return session


def _chosen(request: web.Request, view: SetsView) -> FoundCharacter | CloseMessage:
    for field in ("call_id", "intent"):
        if field in request.query:
            return refused("invalid_value", f"{field} is not supported: this server holds conversations only.", field)
    name, secret = request.query.get("model"), request[AUTHORITY].secret
    wanted = name or (secret.character if secret is not None else None)
    if not wanted:
        return view.default() or refused("missing_model", "There is no character to talk to.", "model")
    found = view.find(wanted)
    if secret is not None and (found.name if found is not None else normal(wanted)) != secret.character:
        text = f"This client secret is for the character {secret.character!r}, not for {name!r}."
        return refused("invalid_value", text, "model")
    return found or refused("model_not_found", f"The character {wanted!r} does not exist.", "model")


async def _claimed(request: web.Request, resume: str) -> SavedSession | None:
    """Claim a session, also from its connection: a client often notices a lost one before the server does."""
    disconnected, sessions = request.app[DISCONNECTED], request.app[SESSIONS]
    owners = request[AUTHORITY].secret_owners or (request[AUTHORITY].owner,)
    while True:
        # First: a session that ends is saved once more, which nothing that is read before would have.
        while (held := sessions.find(resume, owners)) is not None:
            held.work.cancel_commands()  # only their responses: the reloads go on, and this must not wait for them
            held.closing.close(taken_over(), request.app[SETTINGS].close_grace)
            await held.gone.wait()
        saved = await disconnected.claim(resume, owners)
        if sessions.find(resume, owners) is None:  # no other connection was quicker
            return saved


def _resumed(request: web.Request, ws: web.WebSocketResponse, saved: SavedSession | None) -> Session | CloseMessage:
    metrics = request.app[METRICS]
    if saved is None:
        metrics.sessions_resume_refused.inc()
        text = "There is no session with that id to resume; it may have expired."
        return refused("session_not_found", text, "resume")
    authority = request[AUTHORITY]
    sets = authority.secret_owners.get(saved.owner, authority.sets)
    found = request.app[SETS].view(sets).member(saved.set, saved.character)
    if found is None:
        request.app[DISCONNECTED].give_back(saved)
        metrics.sessions_resume_refused.inc()
        return removed(full_name(saved.set, saved.character), "it is not among the characters any more")
    metrics.sessions_resumed.inc()
    return _session(request, ws, found, saved)


def _session(
    request: web.Request,
    ws: web.WebSocketResponse,
    found: FoundCharacter,
    saved: SavedSession | None = None,
    choices: SetsView | None = None,
) -> Session:
    app, authority, secret = request.app, request[AUTHORITY], request[AUTHORITY].secret
    host_of = partial(_host_tools, app) if authority.admin else _no_host_tools
    dialect = known_dialect(saved.dialect) if saved else dialect_of(request)
    conversation_id, items = (saved.conversation_id, saved.items) if saved else (None, ())
    config = saved.config if saved else secret.config if secret and dialect != "unmute" else None
    new_session = secret.session_id if secret else new_id("sess")
    return Session(
        request,
        ws,
        app[CONVERSATIONS].open(found.character, "realtime", conversation_id, History(items), host_of(found.set)),
        app[SESSION_WRITER],
        id=saved.id if saved else new_session,
        owner=saved.owner if saved else authority.owner,
        set=found.set,
        generation=found.characters.generation,
        host_of=host_of,
        choices=choices,
        settings=settings_of(dialect, config, app[ENGINES]) if dialect else None,
        longest_wait=app[SESSIONS].longest_wait,
        close_grace=app[SETTINGS].close_grace,
        budget=app[BUDGET],
    )


def _host_tools(app: web.Application, name: str) -> HostTools:
    return HostTools(app[SETS].view().named(name).manager, app[SETTINGS].drain)


def _no_host_tools(_: str) -> None:
    return None


def _key_refusal(request: web.Request) -> CloseMessage | None:
    """Refuse a wrong key; a web page, which sends it as a subprotocol, cannot read the status of a handshake."""
    authority = request[AUTHORITY]
    if authority.secret is not None or (authority.secret_owners and "resume" in request.query):
        return None
    try:
        insist(request, "chat")
    except Problem as e:
        if e.status != 401 or not authority.key_in_subprotocol:
            raise
        return refused("invalid_api_key", e.detail, close_code=3000)
    return None


async def _refuse(request: web.Request, ws: web.WebSocketResponse, message: CloseMessage) -> None:
    # The client may not take the close message.
    asyncio.get_running_loop().call_later(request.app[SETTINGS].close_grace, abort, request)
    with suppress(ConnectionError):
        await message.send(ws)
