"""The endpoints that reload, roll back and show the history."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from charhost.errors import HistoryUnavailable, ReloadCode, SetNotFound, StateError
from charhost.reload.attempt import Consent, FromHistory, Source
from charhost.reload.request import FleetReloadRequest, ReloadRequest, RollbackRequest
from charhost.reload.store import MOST_ATTEMPTS
from charhost.report import DEFAULT_SET, ReloadReport, Trigger
from charhost.watch.health import WatcherStatus
from charhost.web.caller_view import ONE_SET, reloadable
from charhost.web.http.body import json_body
from charhost.web.http.operation import PROBLEM, Operation, Parameter, Response
from charhost.web.http.problem_document import ProblemDocument
from charhost.web.http.problems import Problem, json_response
from charhost.web.http.query import number_in_query
from charhost.web.keys import FLEET
from charhost.web.reload_documents import RejectedReload, ReloadHistory

_USUAL_ATTEMPTS = 20
_IF_MATCH = Parameter("If-Match", "header", "The `ETag` of the set to replace; a reload of another one is refused.")
_UNAVAILABLE = "The state file cannot be read (`history_unavailable`)."


def reload_errors(*excluded: ReloadCode) -> dict[int, str | Response]:
    """Declare the refusals; the problem document carries a report where a load was attempted."""
    reported, perhaps = RejectedReload, ProblemDocument | RejectedReload
    models = {400: perhaps, 403: perhaps, 404: perhaps, 422: reported, 500: perhaps, 504: reported}
    headers: dict[int, dict[str, str]] = {503: {hdrs.RETRY_AFTER: "Seconds, if the server is stopping."}}
    meanings: dict[int, list[str]] = {}
    for code in ReloadCode:
        # 401 is declared with the key that an operation needs.
        if code not in (ReloadCode.INVALID_KEY, *excluded):
            meanings.setdefault(code.status, []).append(f"`{code}`: {code.meaning}")
    return {
        status: Response(
            "\n\n".join(texts), {PROBLEM: models[status]} if status in models else {}, headers.get(status, {})
        )
        for status, texts in meanings.items()
    }


@Operation(
    "Load a directory",
    "Characters",
    description=(
        "The whole directory is loaded beside the current set, and replaces it in one step. Every file in it is "
        "executed. If no character can be loaded, or the request asks for it, nothing changes. A reload goes on when "
        "its caller disconnects."
    ),
    needs="admin",
    body=ReloadRequest,
    fleet_body=FleetReloadRequest,
    parameters=(_IF_MATCH,),
    responses={200: Response.json(ReloadReport, "Done: the set is `applied`, `unchanged`, or `valid` (a dry run).")},
    errors=reload_errors(ReloadCode.UNKNOWN_GENERATION),
)
async def reload(request: web.Request) -> web.StreamResponse:
    membership = request.app.get(FLEET)
    if membership is None:
        return await _reload(request, await json_body(request, ReloadRequest), None, "http")
    body = await json_body(request, FleetReloadRequest)
    return await _reload(request, body, await membership.uploaded(body), "http", membership.consent(body))


@Operation(
    "Restore an earlier generation",
    "Characters",
    description=(
        "All characters of that generation are restored from their stored bytes, as a new generation, or nothing "
        "changes. The directory on the disk is not read. A watcher leaves the restored set alone until the disk "
        "changes again."
    ),
    needs="admin",
    body=RollbackRequest,
    parameters=(_IF_MATCH,),
    responses={200: Response.json(ReloadReport, "Done.")},
    errors=reload_errors(),
)
async def rollback(request: web.Request) -> web.StreamResponse:
    body = await json_body(request, RollbackRequest)
    return await _reload(request, body.as_reload, await _stored(request, body), "rollback")


@Operation(
    "The history of reloads",
    "Operate",
    description="Failed ones too, the newest first, and the generations that can be restored.",
    needs="admin",
    parameters=(
        ONE_SET,
        Parameter(
            "limit",
            "query",
            "The maximum number of reloads.",
            {"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS, "default": _USUAL_ATTEMPTS},
        ),
    ),
    responses={200: Response.json(ReloadHistory, "The history.")},
    errors={
        400: "The limit is not a number from 1 to 100 (`invalid_request`).",
        404: SetNotFound.code.meaning,
        503: _UNAVAILABLE,
    },
)
async def attempts(request: web.Request) -> web.StreamResponse:
    limit = number_in_query(request, "limit", MOST_ATTEMPTS) or _USUAL_ATTEMPTS
    store = reloadable(request).manager.store
    with _readable():
        reloads, generations = await store.attempts(limit), await store.generations()
    return json_response(ReloadHistory(reloads=reloads, generations=generations))


@Operation(
    "The report of one reload",
    "Operate",
    needs="admin",
    parameters=(Parameter("reload_id", "path", "Its `reload_id`."), ONE_SET),
    responses={200: Response.json(ReloadReport, "Its report.")},
    errors={
        404: "The set keeps no reload with that id (`reload_not_found`), or there is no such set.",
        503: _UNAVAILABLE,
    },
)
async def attempt(request: web.Request) -> web.StreamResponse:
    with _readable():
        report = await reloadable(request).manager.store.attempt(request.match_info["reload_id"])
    if report is None:
        raise Problem(404, "reload_not_found", "No reload with that id is kept.")
    return json_response(report)


@Operation(
    "Watch the directory again after a rollback",
    "Operate",
    description="The disk is compared with the current set at once, and loaded if it differs.",
    needs="admin",
    parameters=(ONE_SET,),
    responses={200: Response.json(WatcherStatus, "The watcher.")},
    errors={404: SetNotFound.code.meaning, 409: "The set is not watched (`no_watcher`)."},
)
async def resume_watch(request: web.Request) -> web.StreamResponse:
    named = reloadable(request)
    watcher = named.watcher
    if watcher is None:
        why = "the server was started" if named.name == DEFAULT_SET else f"the set {named.name} was added"
        raise Problem(409, "no_watcher", f"Nothing is watched: {why} without --watch.")
    watcher.resume()
    return json_response(watcher.status)


async def _reload(
    request: web.Request, body: ReloadRequest, source: Source, trigger: Trigger, consent: Consent | None = None
) -> web.Response:
    manager, etags = reloadable(request, body.set).manager, _etags(request)
    return json_response(await manager.reload_characters(body, source, trigger=trigger, etags=etags, consent=consent))


async def _stored(request: web.Request, body: RollbackRequest) -> Source:
    """Return where the set is kept: in the fleet, if it is one, else here."""
    membership = request.app.get(FLEET)
    kept = await membership.stored(body.set, body.generation) if membership is not None else None
    return kept if kept is not None else FromHistory(body.generation)


def _etags(request: web.Request) -> tuple[str, ...] | None:
    """Return the tags of `If-Match`, None if any set matches (RFC 9110, section 13.1.1); a weak tag never does."""
    header = request.headers.get(hdrs.IF_MATCH)
    if header is None or header.strip() == "*":
        return None
    return tuple(etag.value for etag in request.if_match or () if not etag.is_weak)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except StateError as e:
        raise HistoryUnavailable(f"The history cannot be read: {e}.") from e
