"""Handlers whose modules are imported by their first request."""

from __future__ import annotations

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
