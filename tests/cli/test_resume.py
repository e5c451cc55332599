"""`charhost resume`: the watcher of a server goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner, Result

from charhost.cli import app
from charhost.report import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import MANAGER
from tests.asked import WATCHER, Asked, listening
from tests.conftest import Client, character


@pytest.fixture
async def asked(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> Asked:
    """A server that answers what a test has prepared."""
    return await listening(aiohttp_server)


@pytest.mark.parametrize(("up", "said"), [(True, "Watching again; see charhost status"), (False, "it is down")])
async def test_what_happens_next_is_said(asked: Asked, up: bool, said: str) -> None:
    """The disk is read at once, or when the watcher can."""
    asked.body = WATCHER.model_dump(mode="json") | {"up": up}
    result = await asked.run("resume")
    assert (result.exit_code, result.stdout.startswith("✓ Watching again"), said in result.stdout) == (
        0,
        True,
        True,
    )


async def test_what_was_rolled_back_is_loaded_again(
    aiohttp_client: Callable[..., Awaitable[Client]], directory: Path
) -> None:
    """After a rollback the status says that the watcher holds; `charhost resume` loads what lies on the disk."""
    client = await aiohttp_client(create_app(Settings(directory=directory, watch=True)))
    manager = client.app[MANAGER]
    (directory / "bob.py").write_text(character("Bob"))
    await manager.reload_characters(ReloadRequest(scope="changed"))

    async def run(*line: str) -> Result:
        url = str(client.make_url("")).rstrip("/")
        return await asyncio.to_thread(CliRunner().invoke, app, [*line, "--url", url])

    assert "✓ Rolled back: " in (await run("rollback", "1")).stdout
    assert list(manager.current) == ["Ada"]
    assert "held after a rollback; charhost resume reads the disk again" in (await run("status")).stdout
    assert (await run("resume")).exit_code == 0
    async with asyncio.timeout(10):
        while "Bob" not in manager.current:
            await asyncio.sleep(0.01)


async def test_a_server_that_watches_nothing_refuses(client: Client) -> None:
    """There is nothing to go on with: status 1, and the server's own sentence."""
    line = ["resume", "--url", str(client.make_url("")).rstrip("/")]
    result = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert (result.exit_code, "the server was started without --watch" in result.stderr) == (1, True)
