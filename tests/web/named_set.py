"""A client of a server whose directory is that of the default set, or that of a named set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from charhost.report import DEFAULT_SET
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import SETS
from tests.conftest import Client, character

NAMED = "gaming"
BOTH = [DEFAULT_SET, pytest.param(NAMED, marks=pytest.mark.slow)]


@pytest.fixture(params=BOTH)
async def client(
    request: pytest.FixtureRequest,
    aiohttp_client: Callable[..., Awaitable[Client]],
    settings: Settings,
    tmp_path: Path,
) -> Client:
    """A client of the directory, which adds `?set=` where that is the directory of a named set."""
    if request.param == DEFAULT_SET:
        return await aiohttp_client(create_app(settings))
    if request.node.get_closest_marker("of_default_set") is not None:
        pytest.skip("this is of the default set only")
    other = tmp_path / "of-default"
    other.mkdir()
    (other / "eve.py").write_text(character("Eve"))
    named = {"directory": other, "set": (f"{NAMED}={settings.directory}",)}
    client = await aiohttp_client(create_app(settings.model_copy(update=named)))
    sets, make_url = client.app[SETS], client.make_url
    sets.default = sets.view().named(NAMED)

    def narrowed(path: Any) -> URL:
        return make_url(path).update_query({"set": NAMED})

    client.make_url = narrowed  # type: ignore[method-assign]
    return client
