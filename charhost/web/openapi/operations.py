"""The OpenAPI declarations of the reload endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import hdrs

from charhost.errors import ReloadCode
from charhost.reload.store import MOST_ATTEMPTS
from charhost.report import ReloadReport, ReloadRequest, RollbackRequest
from charhost.watch.health import WatcherStatus
from charhost.web.openapi.operation import PROBLEM, Answer, Operation, Parameter, answers_json
from charhost.web.schemas import ProblemDocument, RejectedReload, ReloadHistory

USUAL_ATTEMPTS = 20

_IF_MATCH = Parameter("If-Match", "header", "The `ETag` of the set to replace; a reload of another one is refused.")
_REPORTED = {PROBLEM: RejectedReload}
_PERHAPS_REPORTED = {PROBLEM: ProblemDocument | RejectedReload}

# The problem document carries a report where a load was attempted.
_CONTENT: dict[int, dict[str, Any]] = {
    400: _PERHAPS_REPORTED,
    403: _PERHAPS_REPORTED,
    404: _REPORTED,
    422: _REPORTED,
    500: _PERHAPS_REPORTED,
    504: _REPORTED,
}
_HEADERS: dict[int, dict[str, str]] = {503: {hdrs.RETRY_AFTER: "Seconds, if the server is stopping."}}


def _errors(codes: Iterable[ReloadCode]) -> dict[int, str | Answer]:
    meanings: dict[int, list[str]] = {}
    for code in codes:
        meanings.setdefault(code.status, []).append(f"`{code}`: {code.meaning}")
    return {
        status: Answer("\n\n".join(texts), _CONTENT.get(status), _HEADERS.get(status, {}))
        for status, texts in meanings.items()
    }


# 401 is declared with the key that an operation needs.
_OF_ROLLBACKS = [code for code in ReloadCode if code is not ReloadCode.INVALID_KEY]
_OF_RELOADS = [code for code in _OF_ROLLBACKS if code is not ReloadCode.UNKNOWN_GENERATION]

RELOAD = Operation(
    "Load a directory",
    "Characters",
    description=(
        "The whole directory is loaded beside the current set, and replaces it in one step. Every file in it is "
        "executed. If no character can be loaded, or the request asks for it, nothing changes. A reload goes on when "
        "its caller disconnects."
    ),
    needs="admin",
    body=ReloadRequest,
    parameters=(_IF_MATCH,),
    answers={200: answers_json(ReloadReport, "Done: the set is `applied`, `unchanged`, or `valid` (a dry run).")},
    errors=_errors(_OF_RELOADS),
)
ROLLBACK = Operation(
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
    answers={200: answers_json(ReloadReport, "Done.")},
    errors=_errors(_OF_ROLLBACKS),
)
_UNAVAILABLE = "The state file cannot be read (`history_unavailable`)."
ATTEMPTS = Operation(
    "The history of reloads",
    "Operate",
    description="Failed ones too, the newest first, and the generations that can be restored.",
    needs="admin",
    parameters=(
        Parameter(
            "limit",
            "query",
            "The maximum number of reloads.",
            schema={"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS, "default": USUAL_ATTEMPTS},
        ),
    ),
    answers={200: answers_json(ReloadHistory, "The history.")},
    errors={400: "The limit is not a number from 1 to 100 (`invalid_request`).", 503: _UNAVAILABLE},
)
ATTEMPT = Operation(
    "The report of one reload",
    "Operate",
    needs="admin",
    parameters=(Parameter("reload_id", "path", "Its `reload_id`.", required=True),),
    answers={200: answers_json(ReloadReport, "Its report.")},
    errors={404: "No reload with that id is kept (`reload_not_found`).", 503: _UNAVAILABLE},
)
RESUME_WATCH = Operation(
    "Watch the directory again after a rollback",
    "Operate",
    description="The disk is compared with the current set at once, and loaded if it differs.",
    needs="admin",
    answers={200: answers_json(WatcherStatus, "The watcher.")},
    errors={409: "The server does not watch (`no_watcher`)."},
)
