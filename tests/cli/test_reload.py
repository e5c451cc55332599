"""`charhost reload` and `charhost rollback`: their requests, and their output."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from charhost.report import ReloadRequest
from tests.cli.helpers import body_of
from tests.cli.recording_server import REPORT, RecordingServer


async def test_without_options_the_request_has_defaults(server: RecordingServer) -> None:
    """Without options the request has only defaults: the current directory, and the server's session policy."""
    assert await body_of(server, "reload") == {"scope": "all", "on_error": "exclude", "dry_run": False}


async def test_every_field_of_the_request_has_an_option(server: RecordingServer) -> None:
    """Every field of the HTTP request has an option."""
    options = ["--scope", "changed", "--sessions", "follow", "--drain", "2.5", "--on-error", "keep", "--dry-run"]
    body = await body_of(server, "reload", "/srv/x", *options, "--check-isolated", "--reason", "new words")
    assert body == {
        "directory": "/srv/x",
        "scope": "changed",
        "sessions": "follow",
        "drain_seconds": 2.5,
        "on_error": "keep",
        "dry_run": True,
        "check_isolated": True,
        "reason": "new words",
    }
    assert set(body) == set(ReloadRequest.model_fields)
    assert ReloadRequest.model_validate(body)


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
