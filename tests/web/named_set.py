"""A client of a server whose directory is that of the default set, or that of a named set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from charhost.report import DEFAULT_SET
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import SETS
from tests.conftest import Client, character

NAMED = "gaming"
BOTH = [DEFAULT_SET, pytest.param(NAMED, marks=pytest.mark.slow)]

StartApp = Callable[[Settings], Awaitable[Client]]


@pytest.fixture(params=BOTH)
def set_name(request: pytest.FixtureRequest) -> str:
    """The name of the set that the test is about."""
    name = str(request.param)
    if name != DEFAULT_SET and request.node.get_closest_marker("of_default_set") is not None:
        pytest.skip("this is of the default set only")
    return name


def app_of(set_name: str, settings: Settings, beside: Path) -> web.Application:
    """Make an application whose set has the directory of the settings; the default one has Eve, below *beside*."""
    if set_name == DEFAULT_SET:
        return create_app(settings)
    other = beside / "of-default"
    other.mkdir(exist_ok=True)
    (other / "eve.py").write_text(character("Eve"))
    named = {"directory": other, "set": (f"{NAMED}={settings.directory}",)}
    app = create_app(settings.model_copy(update=named))
    app[SETS].default = app[SETS].view().named(NAMED)
    return app


def narrowed(client: Client) -> Client:
    """Have the client add `?set=` to every request if the set of its server is a named one."""
    name, make_url = client.app[SETS].default.name, client.make_url

    def make_narrowed(path: Any) -> URL:
        return make_url(path).update_query({"set": name})

    if name != DEFAULT_SET:
        client.make_url = make_narrowed  # type: ignore[method-assign]
    return client


@pytest.fixture
def start_app(set_name: str, aiohttp_client: Callable[..., Awaitable[Client]], tmp_path: Path) -> StartApp:
    """Starts a server of the set."""

    async def start_app(settings: Settings) -> Client:
        return narrowed(await aiohttp_client(app_of(set_name, settings, tmp_path)))

    return start_app


@pytest.fixture
async def client(start_app: StartApp, settings: Settings) -> Client:
    """A client of the directory."""
    return await start_app(settings)
