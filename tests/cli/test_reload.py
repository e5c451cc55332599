"""`charhost reload`, `rollback` and `resume`: what they ask for, and how they tell what came of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner, Result

from charhost.cli import app
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import MANAGER
from tests.asked import REPORT, WATCHER, Asked, listening
from tests.conftest import Client, character


@pytest.fixture
async def asked(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> Asked:
    """A server that answers what a test has prepared."""
    return await listening(aiohttp_server)


async def wish(asked: Asked, *arguments: str) -> Any:
    """What a command line asks for."""
    result = await asked.run(*arguments)
    assert result.exit_code == 0, result.output
    ((_, _, body),) = asked.requests
    return body


async def test_nothing_given_leaves_the_rest_to_the_server(asked: Asked) -> None:
    """Without options the current directory is loaded, as the server is set."""
    assert await wish(asked, "reload") == {"scope": "all", "on_error": "exclude", "dry_run": False}


async def test_every_field_of_the_request_has_an_option(asked: Asked) -> None:
    """What can be asked over HTTP can be asked here, and the server accepts it."""
    options = ["--scope", "changed", "--sessions", "follow", "--drain", "2.5", "--on-error", "keep", "--dry-run"]
    asking = await wish(asked, "reload", "/srv/x", *options, "--check-isolated", "--reason", "new words")
    assert asking == {
        "directory": "/srv/x",
        "scope": "changed",
        "sessions": "follow",
        "drain_seconds": 2.5,
        "on_error": "keep",
        "dry_run": True,
        "check_isolated": True,
        "reason": "new words",
    }
    assert set(asking) == set(ReloadRequest.model_fields)
    assert ReloadRequest.model_validate(asking)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("default", "default"),
        ("./default", f"{os.getcwd()}/default"),
        ("x/../y", f"{os.getcwd()}/y"),
        ("/a/link/../y", "/a/link/../y"),
        ("~/x", f"{Path.home()}/x"),
    ],
)
async def test_directory_is_sent_as_an_absolute_path(asked: Asked, given: str, sent: str) -> None:
    """The server does not know where the command was typed; what is absolute is left alone."""
    assert (await wish(asked, "reload", given))["directory"] == sent


@pytest.mark.parametrize(
    "arguments", [[""], ["--scope", "some"], ["--sessions", "x"], ["--on-error", "x"], ["--drain", "-1"], ["a", "b"]]
)
async def test_wrong_usage_ends_with_2(asked: Asked, arguments: list[str]) -> None:
    """What the server would not understand is not sent."""
    assert ((await asked.run("reload", *arguments)).exit_code, asked.requests) == (2, [])


@pytest.mark.parametrize("given", ["42-sha256:ab", '"42-sha256:ab"'])
@pytest.mark.parametrize("command", ["reload", "rollback"])
async def test_etag_is_sent_in_quotes(asked: Asked, command: str, given: str) -> None:
    """`--if-match` takes what `charhost status` shows, and what an `ETag` header says."""
    await asked.run(command, "--if-match", given)
    assert asked.sent[0]["If-Match"] == '"42-sha256:ab"'


async def test_any_set_is_sent_without_quotes(asked: Asked) -> None:
    """`*` is a word of its own in HTTP."""
    await asked.run("reload", "--if-match", "*")
    assert asked.sent[0]["If-Match"] == "*"


@pytest.mark.parametrize(
    ("command", "headline"),
    [
        ("reload", "Characters reloaded successfully!"),
        ("rollback", "Rolled back: the characters serve as generation 42."),
    ],
)
async def test_report_is_told_in_a_few_lines(asked: Asked, command: str, headline: str) -> None:
    """What was done, what was loaded, from where, and which files were left out."""
    assert (await asked.run(command)).stdout.splitlines() == [
        f"✓ {headline}",
        "  Directory: /srv/characters",
        "  Loaded: 9/10 characters",
        "  Errors: 1",
        "  Duration: 0.45s",
        "",
        "  Successfully loaded 9 characters from /srv/characters",
        "",
        "  bob.py:12: SyntaxError: bad",
    ]


@pytest.mark.parametrize(("outcome", "said"), [("unchanged", "Nothing has changed"), ("valid", "this was a dry run")])
async def test_other_outcomes_are_not_called_a_reload(asked: Asked, outcome: str, said: str) -> None:
    """A reload that changed nothing says so."""
    asked.body = REPORT.model_dump(mode="json") | {"outcome": outcome, "errors": []}
    lines = (await asked.run("reload")).stdout.splitlines()
    assert (said in lines[0], len(lines)) == (True, 7)


async def test_rollback_asks_for_the_one_before(asked: Asked) -> None:
    """Without a generation the server chooses the one before."""
    assert await wish(asked, "rollback") == {}


async def test_rollback_names_a_generation(asked: Asked) -> None:
    """All fields of a rollback can be given."""
    arguments = ["7", "--sessions", "keep", "--drain", "3", "--reason", "bad words"]
    asking = {"generation": 7, "sessions": "keep", "drain_seconds": 3, "reason": "bad words"}
    assert await wish(asked, "rollback", *arguments) == asking


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
