"""A server with two sets: Ada and Charlotte in `default`, Charlotte and Zed in `gaming`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character


@pytest.fixture
def games(tmp_path: Path) -> Path:
    """The directory of the set `gaming`."""
    games = tmp_path / "games"
    games.mkdir()
    (games / "charlotte.py").write_text(character("Charlotte", "Play."))
    (games / "zed.py").write_text(character("Zed", "Win."))
    return games


@pytest.fixture
def serve(
    aiohttp_client: Callable[..., Awaitable[Client]], directory: Path, games: Path
) -> Callable[..., Awaitable[Client]]:
    """Starts a server of both sets, with further settings."""
    (directory / "charlotte.py").write_text(character("Charlotte", "Teach."))

    async def serve(**values: Any) -> Client:
        return await aiohttp_client(create_app(Settings(directory=directory, set=f"gaming={games}", **values)))

    return serve


@pytest.fixture
async def client(serve: Callable[..., Awaitable[Client]]) -> Client:
    """A client of a server of both sets."""
    return await serve()


async def get(client: Client, path: str, **headers: str) -> tuple[int, Any]:
    """Return the status and the JSON of a GET."""
    async with client.get(path, headers=headers) as response:
        return response.status, await response.json()
