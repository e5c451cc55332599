"""Reading requests for reloads, and rendering refusals, for HTTP and WebSockets."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import hdrs
from pydantic import BaseModel, ValidationError

from charhost.errors import InvalidRequest, ReloadRefused, Stopping
from charhost.text import quoted
from charhost.web.problems import Problem

Request = TypeVar("Request", bound=BaseModel)


def parsed(body: bytes, kind: type[Request]) -> Request:
    """Return the request of that *kind* in JSON; raises `InvalidRequest`, with a sentence for each wrong field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as e:
        sentences = (_sentence(dict(error), ", ".join(kind.model_fields)) for error in e.errors())
        raise InvalidRequest("; ".join(sentences)) from e


def problem(refusal: ReloadRefused) -> Problem:
    """Return the problem document of a refusal, with the report if a reload was attempted."""
    fields = refusal.report.model_dump() if refusal.report is not None else None
    headers = {str(hdrs.RETRY_AFTER): "5"} if isinstance(refusal, Stopping) else None
    return Problem(refusal.code.status, refusal.code, refusal.detail, fields, headers)


def _sentence(error: dict[str, object], known: str) -> str:
    where = ".".join(map(str, error["loc"])) if isinstance(error["loc"], tuple) else ""
    if error["type"] == "extra_forbidden":
        return f"unknown field {where}; expected one of {known}"
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}, found {quoted(error['input'])}" if where else text
