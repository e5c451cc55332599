"""The table of outcomes: status, report, metric, log and exit status agree for each of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientResponse
from typer.testing import CliRunner

from charhost.cli import app
from charhost.errors import ReloadCode
from charhost.report import DEFAULT_SET
from charhost.settings import Settings
from charhost.web.http.body import BODY_DEADLINE, MOST_BODY_BYTES
from charhost.web.keys import SETS
from scripts import reload_characters as script
from tests.conftest import Client, character
from tests.web.named_set import StartApp, set_name, start_app
from tests.web.outcomes import RELOAD, ROLLBACK, TABLE, Before, Row, Scene, fails_again, stopping

__all__ = ["set_name", "start_app"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.case)
async def test_every_outcome_is_reported_alike(
    row: Row,
    directory: Path,
    start_app: StartApp,
    set_name: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For each outcome status, code, report, metric, log line, history and exit status agree (promise 5)."""
    if row.world is fails_again:
        monkeypatch.setattr("os.only_once", None, raising=False)
        (directory / "ada.py").write_text(f"import os; os.only_once\n{character('Ada')}")
    client = await start_app(Settings(directory=directory, **row.settings))
    row.world(Scene(directory, monkeypatch, row.settings))
    if row.world is stopping:
        await client.app[SETS].default.manager.close(0)
    before = Before(client, caplog)

    answer = await client.post(row.path, data=body_of(row), headers={"Content-Type": "application/json", **row.headers})
    document = json.loads(await answer.read())

    assert (answer.status, document.get("code")) == (row.status, row.code)
    assert ("Retry-After" in answer.headers) == (row.status == 503)
    assert answer.content_type == ("application/json" if row.status == 200 else "application/problem+json")
    await before.check(row, "rollback" if row.path == ROLLBACK else "http", document)
    options = options_of(row, set_name)
    assert await status_of_the_script(row, options, client, answer, document) == row.script
    assert await status_of_the_command(row, options, client) in (row.script, None)


def test_every_code_has_its_outcome() -> None:
    """The table has each code of a refused reload with its status, but for an unreadable state file, and for fleets."""
    rows = {(row.code, row.status) for row in TABLE}
    of_fleets = {code for code in ReloadCode if code.startswith(("fleet_", "rollout_", "uploads_"))}
    others = {code for code in ReloadCode if (code, code.status) not in rows} - of_fleets
    assert (others, len(of_fleets)) == ({ReloadCode.HISTORY_UNAVAILABLE}, 5)


def test_documented_limits_are_those_of_the_endpoint() -> None:
    """The meanings of the codes name the size and the deadline of a body."""
    assert f"{MOST_BODY_BYTES >> 10} KiB" in ReloadCode.REQUEST_TOO_LARGE.meaning
    assert f"{BODY_DEADLINE:g} s" in ReloadCode.REQUEST_TIMEOUT.meaning


def body_of(row: Row) -> bytes | AsyncIterator[bytes]:
    if row.body == b"":
        return endless()
    return json.dumps(row.fields).encode() if row.body is None else row.body


async def endless() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(60)


def options_of(row: Row, set_name: str) -> list[str] | None:
    """Return the options of a command for this request about a set, or None if it cannot send it."""
    if row.code == "invalid_request" or row.body is not None or set(row.headers) - {"Authorization", "If-Match"}:
        return None
    options = ["--if-match", row.headers["If-Match"]] if "If-Match" in row.headers else []
    of_set = {"set": set_name} if set_name != DEFAULT_SET else {}
    for name, value in (of_set | row.fields).items():
        option = [] if name in ("directory", "generation") else [f"--{name.replace('_', '-')}"]
        options += option if value is True else [*option, str(value)]
    return options


def key_of(row: Row) -> str | None:
    """The key that the row sends."""
    return row.headers.get("Authorization", "").removeprefix("Bearer ") or None


async def status_of_the_script(
    row: Row, options: list[str] | None, client: Client, answer: ClientResponse, document: dict[str, Any]
) -> int:
    """Return the exit status of the script: run it where it has the options, else have it judge *answer*."""
    if options is None or row.path != RELOAD or set(row.fields) - {"directory", "set"}:
        return script.outcome("http://x", cast("HTTPResponse", answer), document)[0]
    environment = {name: value for name, value in os.environ.items() if not re.match("CHARHOST_|PYTHON", name)}
    if (key := key_of(row)) is not None:
        environment["CHARHOST_ADMIN_KEY"] = key
    url, place = str(client.server.make_url("/")), [] if "directory" in row.fields else ["default"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", script.__file__, *place, *options, "--url", url, "--timeout", "60"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    _, complaint = await process.communicate()
    if process.returncode:
        assert f"({answer.status} {document['code']})" in complaint.decode()
    return process.returncode or 0


async def status_of_the_command(row: Row, options: list[str] | None, client: Client) -> int | None:
    """Return the exit status of `charhost reload` or `charhost rollback`, or None if it cannot send this request."""
    if options is None:
        return None
    command = "rollback" if row.path == ROLLBACK else "reload"
    line = [command, *options, "--url", str(client.server.make_url("")).rstrip("/")]
    result = await asyncio.to_thread(CliRunner().invoke, app, line, env={"CHARHOST_ADMIN_KEY": key_of(row)})
    return result.exit_code
