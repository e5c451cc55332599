"""Handlers whose modules are imported by their first request."""

from __future__ import annotations

import gc

from aiohttp.web_urldispatcher import SystemRoute

from charhost.web.catalog import characters
from charhost.web.http.later import later, load, loaded
from tests.conftest import Client


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


async def test_handler_of_no_route_is_not_kept(client: Client) -> None:
    """Nothing is left of the handlers that aiohttp makes for requests without a route."""
    for _ in range(20):
        assert (await client.get("/v1/nowhere")).status == 404
    gc.collect()
    assert sum(isinstance(one, SystemRoute) for one in gc.get_objects()) < 10
