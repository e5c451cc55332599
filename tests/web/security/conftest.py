"""A server with chosen settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client


@pytest.fixture
def start(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> Callable[..., Awaitable[Client]]:
    """Starts a server with further settings."""

    async def start(**more: object) -> Client:
        return await aiohttp_client(create_app(Settings(directory=settings.directory, **more)))

    return start
