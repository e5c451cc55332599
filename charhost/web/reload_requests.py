"""How a reload is asked for and refused, over HTTP and over a WebSocket alike."""

from __future__ import annotations

from typing import Any, TypeVar

from aiohttp import hdrs
from pydantic import BaseModel, ValidationError

from charhost.errors import NotAttempted, ReloadRejected, Stopping
from charhost.reload.manager import CharacterManager
from charhost.report import ReloadReport, Trigger
from charhost.text import FieldProblem, field_problems, quoted
from charhost.web.problems import Problem

_STATUS = {
    "directory_not_found": 404,
    "not_a_directory": 400,
    "directory_not_readable": 403,
    "directory_too_large": 422,
    "no_characters": 422,
    "set_rejected": 422,
    "isolated_load_failed": 422,
    "load_timeout": 504,
    "internal_error": 500,
    "revision_mismatch": 412,
    "unknown_generation": 409,
    "history_unavailable": 503,
    "directory_not_allowed": 403,
}

Body = TypeVar("Body", bound=BaseModel)


async def reload_characters(manager: CharacterManager, trigger: Trigger, **fields: Any) -> ReloadReport:
    """Have the manager reload; raises `Problem` for what it refuses, with the report where there is one."""
    try:
        return await manager.reload_characters(trigger=trigger, **fields)
    except ReloadRejected as e:
        raise Problem(_STATUS[e.code], e.code, e.report.message, e.report.model_dump()) from e
    except NotAttempted as e:
        raise Problem(_STATUS[e.code], e.code, str(e)) from e
    except Stopping as e:
        raise Problem(503, "stopping", str(e), headers={hdrs.RETRY_AFTER: "5"}) from e


def wish_in(body: bytes, kind: type[Body]) -> Body:
    """Read a wish of that *kind* in JSON; raises `Problem`, with a sentence for each field that is wrong."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as e:
        sentences = (_sentence(problem, ", ".join(kind.model_fields)) for problem in field_problems(e))
        raise Problem(400, "invalid_request", "; ".join(sentences)) from e


def _sentence(problem: FieldProblem, known: str) -> str:
    where = problem.path
    if problem.kind == "extra_forbidden":
        return f"{where}: there is no such field; known are {known}"
    return f"{where}: {problem.text}, found {quoted(problem.found)}" if where else problem.text
