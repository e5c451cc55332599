"""`charhost reload`, `rollback` and `resume`: their requests, and their output."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.cli import app
from charhost.reload.request import FleetReloadRequest, ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import SETS
from tests.cli.helpers import body_of
from tests.cli.recording_server import REPORT, WATCHER, RecordingServer
from tests.conftest import Client, character


async def test_without_options_the_request_has_defaults(server: RecordingServer) -> None:
    """Without options the request has only defaults: the current directory, and the server's session policy."""
    assert await body_of(server, "reload") == {"scope": "all", "on_error": "exclude", "dry_run": False}


async def test_every_field_of_the_request_has_an_option(server: RecordingServer) -> None:
    """Every field of the HTTP request has an option."""
    options = ["--scope", "changed", "--sessions", "follow", "--drain", "2.5", "--on-error", "keep", "--dry-run"]
    more = ["--set", "gaming", "--check-isolated", "--reason", "new words", "--nodes", "this"]
    body = await body_of(server, "reload", "/srv/x", *options, *more)
    assert body == {
        "set": "gaming",
        "directory": "/srv/x",
        "scope": "changed",
        "sessions": "follow",
        "drain_seconds": 2.5,
        "on_error": "keep",
        "dry_run": True,
        "check_isolated": True,
        "reason": "new words",
        "nodes": "this",
    }
    assert set(body) == set(FleetReloadRequest.model_fields) - {"uploaded"}
    assert FleetReloadRequest.model_validate(body)


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
async def test_directory_is_sent_as_an_absolute_path(server: RecordingServer, given: str, sent: str) -> None:
    """A relative directory is sent as an absolute path, and an absolute one unchanged."""
    assert (await body_of(server, "reload", given))["directory"] == sent


@pytest.mark.parametrize(
    "arguments", [[""], ["--scope", "some"], ["--sessions", "x"], ["--on-error", "x"], ["--drain", "-1"], ["a", "b"]]
)
async def test_wrong_usage_ends_with_2(server: RecordingServer, arguments: list[str]) -> None:
    """Invalid arguments end with 2, without a request."""
    assert ((await server.run("reload", *arguments)).exit_code, server.requests) == (2, [])


@pytest.mark.parametrize("given", ["42-sha256:ab", '"42-sha256:ab"'])
@pytest.mark.parametrize("command", ["reload", "rollback"])
async def test_etag_is_sent_in_quotes(server: RecordingServer, command: str, given: str) -> None:
    """`--if-match` takes the ETag as `charhost status` prints it, and as the header has it."""
    await server.run(command, "--if-match", given)
    assert server.sent[0]["If-Match"] == '"42-sha256:ab"'


async def test_any_set_is_sent_without_quotes(server: RecordingServer) -> None:
    """`--if-match '*'` is sent without quotes."""
    await server.run("reload", "--if-match", "*")
    assert server.sent[0]["If-Match"] == "*"


@pytest.mark.parametrize(
    ("command", "headline"),
    [
        ("reload", "Characters reloaded successfully!"),
        ("rollback", "Rolled back: the characters serve as generation 42."),
    ],
)
async def test_report_is_printed_in_a_few_lines(server: RecordingServer, command: str, headline: str) -> None:
    """A report is printed with its counts, duration and directory, and the files that failed."""
    assert (await server.run(command)).stdout.splitlines() == [
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


@pytest.mark.parametrize(("outcome", "text"), [("unchanged", "Nothing has changed"), ("valid", "this was a dry run")])
async def test_other_outcomes_are_not_called_a_reload(server: RecordingServer, outcome: str, text: str) -> None:
    """An unchanged reload and a dry run are printed as such."""
    server.body = REPORT.model_dump(mode="json") | {"outcome": outcome, "errors": []}
    lines = (await server.run("reload")).stdout.splitlines()
    assert (text in lines[0], len(lines)) == (True, 7)


async def test_rollback_without_a_generation(server: RecordingServer) -> None:
    """A rollback without a generation sends none."""
    assert await body_of(server, "rollback") == {}


async def test_rollback_names_a_generation(server: RecordingServer) -> None:
    """Every field of a rollback has an option."""
    arguments = ["7", "--sessions", "keep", "--drain", "3", "--reason", "bad words"]
    body = {"generation": 7, "sessions": "keep", "drain_seconds": 3, "reason": "bad words"}
    assert await body_of(server, "rollback", *arguments) == body


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
    manager = client.app[SETS].default.manager
    (directory / "bob.py").write_text(character("Bob"))
    await manager.reload_characters(ReloadRequest(scope="changed"))

    async def run(*line: str) -> Result:
        url = str(client.make_url("")).rstrip("/")
        return await asyncio.to_thread(CliRunner().invoke, app, [*line, "--url", url])

    assert "✓ Rolled back: " in (await run("rollback", "1")).stdout
    assert list(manager.current) == ["Ada"]
    assert "held after a rollback; charhost resume reads the disk again" in (await run("status")).stdout
    assert (await run("resume")).exit_code == 0
    async with asyncio.timeout(60):
        while "Bob" not in manager.current:
            await asyncio.sleep(0.01)


async def test_a_server_that_watches_nothing_refuses(client: Client) -> None:
    """Without a watcher the status is 1, with the server's own message."""
    line = ["resume", "--url", str(client.make_url("")).rstrip("/")]
    result = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert (result.exit_code, "the server was started without --watch" in result.stderr) == (1, True)
