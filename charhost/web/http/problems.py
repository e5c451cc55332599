"""JSON responses, among them problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from aiohttp import web

from charhost.errors import ReloadCode, ReloadRefused
from charhost.jsontext import encoded
from charhost.text import UNEXPECTED, display
from charhost.web.http.paths import reads_openai_errors
from charhost.web.http.problem_document import OpenAIError, OpenAIErrorDetail, ProblemDocument

# Refusals of a state that ends by itself.
_PASSING = {ReloadCode.STOPPING, ReloadCode.FLEET_UNREACHABLE}


@dataclass(eq=False)
class Problem(Exception):
    """A refused request; the middleware sends the problem document.

    *detail* is a sentence for people, *code* a constant for programs; *fields* are added to the document. *param* is
    the wrong field of the request, which only OpenAI's shape has a place for.
    """

    status: int
    code: str
    detail: str
    fields: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    param: str | None = None

    def __post_init__(self) -> None:
        super().__init__(self.detail)
        self.detail = display(self.detail)

    @classmethod
    def of(cls, refusal: ReloadRefused) -> Problem:
        """Return the problem of a refused reload, with the report if one was attempted."""
        fields = refusal.report.model_dump() if refusal.report is not None else None
        headers = {"Retry-After": "5"} if refusal.code in _PASSING else None
        return cls(refusal.code.status, refusal.code, refusal.detail, fields, headers)

    @classmethod
    def unexpected(cls) -> Problem:
        """Return the problem of a fault in charhost, which the log describes."""
        return cls(500, "internal_error", UNEXPECTED)

    @property
    def openai_error(self) -> OpenAIError:
        """The error in OpenAI's shape; an unknown path has no code there."""
        code = None if self.code == "not_found" else self.code
        kind = _openai_kind(self.status)
        return OpenAIError(error=OpenAIErrorDetail(message=self.detail, type=kind, param=self.param, code=code))

    def response(self, path: str) -> web.Response:
        """Return the response in the shape that the clients of *path* read."""
        if reads_openai_errors(path):
            # OpenAI's clients retry after any 5xx; a fault in charhost or in a character's file would only repeat.
            advice = {"x-should-retry": "false"} if self.status == 500 else {}
            return json_response(self.openai_error, self.status, headers=advice | dict(self.headers or {}))
        title = HTTPStatus(self.status).phrase
        document = ProblemDocument(
            title=title, status=self.status, detail=self.detail, code=self.code, **(self.fields or {})
        )
        return json_response(document, self.status, "application/problem+json", self.headers)


def unreachable() -> Problem:
    """Return the problem of a thing that another node of the fleet may have."""
    detail = "The engine of the fleet cannot be reached; try again."
    return Problem(503, "fleet_unreachable", detail, headers={"Retry-After": "2"})


def json_response(
    content: Any, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return *content*, a pydantic model or JSON data, as a response; NaN and infinity become null."""
    return web.Response(body=encoded(content), status=status, content_type=content_type, headers=headers)


def _openai_kind(status: int) -> Literal["invalid_request_error", "rate_limit_error", "server_error"]:
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"
