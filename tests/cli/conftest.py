"""An environment without settings, and a server that returns prepared responses."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestServer

from tests.cli.recording_server import RecordingServer, start


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's own settings; no model's server of the machine is looked for."""
    for name in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHARHOST_LLM_URL", "none")


@pytest.fixture
async def server(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> RecordingServer:
    """A server that returns prepared responses."""
    return await start(aiohttp_server)
