"""Answers in JSON: what was asked for, or a problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from charhost.text import display


class Problem(Exception):
    """A request that is refused; the middleware answers with the problem document.

    *detail* is the sentence a person reads, *code* what a program compares; *fields* are added to the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = display(detail)
        self.fields = fields or {}
        self.headers = headers

    def openai_response(self) -> web.Response:
        """Make the answer in the shape that OpenAI's clients read."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.detail, "type": kind, "param": None, "code": self.code}
        return json_answer({"error": error}, self.status, headers=self.headers)

    def response(self) -> web.Response:
        """Make the answer."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return json_answer(document | dict(self.fields), self.status, "application/problem+json", self.headers)


def json_answer(
    content: Any, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer *content*, a pydantic model or JSON data, as JSON; what JSON cannot say (NaN) becomes null."""
    body = to_json(content, inf_nan_mode="null")
    return web.Response(body=body, status=status, content_type=content_type, headers=headers)
