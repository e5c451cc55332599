"""Reading requests for reloads, and rendering refusals, for HTTP and WebSockets."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import hdrs
from pydantic import BaseModel, ValidationError

from charhost.errors import InvalidRequest, ReloadRefused, Stopping
from charhost.text import FieldProblem, field_problems, quoted
from charhost.web.problems import Problem

Request = TypeVar("Request", bound=BaseModel)


def parsed(body: bytes, kind: type[Request]) -> Request:
    """Return the request of that *kind* in JSON; raises `InvalidRequest`, with a sentence for each wrong field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as e:
        sentences = (_sentence(problem, ", ".join(kind.model_fields)) for problem in field_problems(e))
        raise InvalidRequest("; ".join(sentences)) from e


def problem(refusal: ReloadRefused) -> Problem:
    """Return the problem document of a refusal, with the report if a reload was attempted."""
    fields = refusal.report.model_dump() if refusal.report is not None else None
    headers = {str(hdrs.RETRY_AFTER): "5"} if isinstance(refusal, Stopping) else None
    return Problem(refusal.code.status, refusal.code, refusal.detail, fields, headers)


def _sentence(problem: FieldProblem, known: str) -> str:
    where = problem.path
    if problem.kind == "extra_forbidden":
        return f"unknown field {where}; expected one of {known}"
    return f"{where}: {problem.text}, found {quoted(problem.found)}" if where else problem.text
