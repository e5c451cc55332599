"""Handlers whose modules are imported by their first request."""

from __future__ import annotations

from weakref import ref

from aiohttp import web

from charhost.web.catalog import characters
from charhost.web.http.later import later, load, loaded


async def test_handler_is_that_of_its_module() -> None:
    """The handler itself is found by its name, once its module is imported."""
    handler = later("catalog", "characters")
    assert handler is not characters
    assert loaded(handler) is characters
    assert await load(handler) is characters


async def test_other_handler_stays() -> None:
    """A handler that was given as it is needs no import."""
    assert loaded(characters) is characters
    assert await load(characters) is characters


async def test_handler_of_an_unknown_path_is_not_kept() -> None:
    """The handler that aiohttp makes for each request to a path that does not exist goes with the request."""

    class NotFound:
        async def handle(self, request: web.Request) -> web.StreamResponse:
            raise web.HTTPNotFound

    found = NotFound()
    gone = ref(found)
    assert await load(found.handle) == found.handle
    del found
    assert gone() is None
