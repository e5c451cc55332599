"""`charhost resume` ends the hold of a server's watcher."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.cli import app
from charhost.report import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import MANAGER
from tests.cli.recording_server import WATCHER, RecordingServer
from tests.conftest import Client, character


@pytest.mark.parametrize(("up", "text"), [(True, "Watching again; see charhost status"), (False, "it is down")])
async def test_output_shows_the_state_of_the_watcher(server: RecordingServer, up: bool, text: str) -> None:
    """The output shows whether the watcher is up."""
    server.body = WATCHER.model_dump(mode="json") | {"up": up}
    result = await server.run("resume")
    assert (result.exit_code, result.stdout.startswith("✓ Watching again"), text in result.stdout) == (
        0,
        True,
        True,
    )


async def test_files_from_before_a_rollback_are_loaded_again(
    aiohttp_client: Callable[..., Awaitable[Client]], directory: Path
) -> None:
    """After a rollback the status shows the hold, and `charhost resume` loads the files on the disk."""
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
    """Without a watcher the status is 1, with the server's own message."""
    line = ["resume", "--url", str(client.make_url("")).rstrip("/")]
    result = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert (result.exit_code, "the server was started without --watch" in result.stderr) == (1, True)
