"""The declarations of handlers."""

from __future__ import annotations

from aiohttp import web

from charhost.web.http.operation import Operation, Response, operation_of


async def handler(request: web.Request) -> web.Response:
    return web.Response()


def test_declaration_is_found_at_its_handler() -> None:
    """A declaration returns the handler that it decorates, and is known from then on."""
    operation = Operation("A page", "About", responses={200: Response.json(int, "A number.")})
    assert operation_of(handler) is None
    assert operation(handler) is handler
    assert operation_of(handler) is operation


def test_json_response_has_one_content_type() -> None:
    """The shorthand declares a model as JSON."""
    assert Response.json(int, "A number.") == Response("A number.", {"application/json": int})
