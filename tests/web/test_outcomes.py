"""The table of outcomes: status, report, metric, log and exit status agree for each of them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charhost.cli import app
from charhost.reload.loader import Loader
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import MANAGER, METRICS
from scripts import reload_characters as script
from tests.conftest import Client, character

RELOAD = "/v1/characters/reload"
ROLLBACK = "/v1/characters/rollback"
UNTOUCHED = -1.0

World = Callable[["Scene"], None]


@dataclass
class Scene:
    """What a row may prepare: the files, the settings before the start, and the server after it."""

    directory: Path
    monkeypatch: pytest.MonkeyPatch
    settings: dict[str, Any]


def two(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text(character("Bob"))


def as_it_was(scene: Scene) -> None:
    """Nothing has changed since the start."""


def one_broken(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text("def broken(:")


def all_broken(scene: Scene) -> None:
    (scene.directory / "ada.py").write_text("raise SystemExit")


def empty(scene: Scene) -> None:
    (scene.directory / "ada.py").unlink()


def missing(scene: Scene) -> None:
    empty(scene)
    scene.directory.rmdir()


def a_file(scene: Scene) -> None:
    missing(scene)
    scene.directory.write_text("")


def unreadable(scene: Scene) -> None:
    scene.directory.chmod(0o300)
    if os.access(scene.directory, os.R_OK):  # root may read everything
        list_folder = os.scandir

        def scandir(path: str) -> Any:
            if path == str(scene.directory):
                raise PermissionError(13, "Permission denied", path)
            return list_folder(path)

        scene.monkeypatch.setattr(os, "scandir", scandir)


def deadly(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text("import os; os._exit(1)")


def too_many(scene: Scene) -> None:
    for number in range(3):
        (scene.directory / f"_helper{number}.py").write_text("")


def hanging(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text("while True: pass")


def faulty(scene: Scene) -> None:
    async def build(*_: object) -> None:
        raise LookupError("nobody foresaw this")

    scene.monkeypatch.setattr(Loader, "build", build)


def impatient(scene: Scene) -> None:
    scene.monkeypatch.setattr("charhost.web.reload.BODY_DEADLINE", 0.1)


def fails_again(scene: Scene) -> None:
    """What the start executed cannot be executed a second time."""
    scene.monkeypatch.delattr("os.only_once")


def stopping(scene: Scene) -> None:
    """The server is told to stop below, where there is one."""


@dataclass(frozen=True)
class Row:
    """A case, and what each channel says of it. Without an outcome nothing was attempted.

    What has no column follows from the others: the log line and the history from the outcome, the command's exit status
    from the script's.
    """

    case: str
    status: int
    code: str | None = None
    outcome: str | None = None
    success: bool | None = None
    successful: float = UNTOUCHED
    script: int = 1
    world: World = two
    fields: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    path: str = RELOAD
    body: bytes | None = None  # None: the fields as JSON; empty: one that never ends


def applied(case: str, successful: float = 1, **more: Any) -> Row:
    return Row(case, 200, None, "applied", True, successful, 0, **more)


def unchanged(case: str, successful: float, world: World, **more: Any) -> Row:
    return Row(case, 200, None, "unchanged", True, successful, 0, world, **{"fields": CHANGED, **more})


def rejected(case: str, status: int, code: str, world: World, **more: Any) -> Row:
    return Row(case, status, code, "rejected", False, 0, 1, world, **more)


def refused(case: str, status: int, code: str, script: int = 1, **more: Any) -> Row:
    return Row(case, status, code, None, None, UNTOUCHED, script, **more)


CHANGED = {"scope": "changed"}
FOREIGN = {"Origin": "http://evil.com"}
TABLE = [
    applied("all files loaded"),
    applied("some failed, exclude", world=one_broken),
    applied("some failed, keep", world=one_broken, fields={"on_error": "keep"}, successful=0),
    unchanged("some failed, exclude, nothing changed", 1, one_broken),
    unchanged("some failed, keep, nothing changed", 0, one_broken, fields=CHANGED | {"on_error": "keep"}),
    unchanged("nothing changed", 1, as_it_was),
    rejected("some failed, abort", 422, "set_rejected", one_broken, fields={"on_error": "abort"}),
    rejected("nothing loadable", 422, "no_characters", all_broken),
    rejected("empty directory", 422, "no_characters", empty),
    rejected("over the limit of files", 422, "directory_too_large", too_many, settings={"max_files": 3}),
    rejected("over the limit of bytes", 422, "directory_too_large", two, settings={"max_bytes": 500}),
    rejected("killing the child", 422, "isolated_load_failed", deadly, fields={"check_isolated": True}),
    rejected(
        "hanging in the child",
        *(422, "isolated_load_failed", hanging),
        fields={"check_isolated": True},
        settings={"file_deadline": 0.2},
    ),
    Row("dry run, would apply", 200, None, "valid", True, UNTOUCHED, 0, fields={"dry_run": True}),
    Row(
        "dry run, would be refused",
        *(422, "set_rejected", "rejected", False, UNTOUCHED, 1, one_broken),
        fields={"dry_run": True, "on_error": "abort"},
    ),
    Row(
        "dry run, directory missing",
        *(404, "directory_not_found", "rejected", False, UNTOUCHED, 1, missing),
        fields={"dry_run": True},
    ),
    rejected("directory missing", 404, "directory_not_found", missing),
    rejected("not a directory", 400, "not_a_directory", a_file),
    rejected("not readable", 403, "directory_not_readable", unreadable),
    refused("not authorised, a key is configured", 401, "invalid_key", 4, settings={"admin_key": "k"}),
    refused("not authorised, none is", 403, "forbidden", 4, headers=FOREIGN),
    refused("broken JSON", 400, "invalid_request", body=b"{"),
    refused("unknown field", 400, "invalid_request", fields={"colour": "red"}),
    refused("relative path", 400, "invalid_request", fields={"directory": "characters"}),
    refused("content type", 415, "unsupported_media_type", headers={"Content-Type": "text/plain"}),
    refused("size", 413, "request_too_large", body=b"{}".ljust(100_000)),
    refused("body not complete", 408, "request_timeout", world=impatient, body=b""),
    Row(
        "whole load over its deadline",
        *(504, "load_timeout", "failed", False, 0, 1, hanging),
        settings={"load_deadline": 0.2},
    ),
    Row("anything unexpected", 500, "internal_error", "failed", False, 0, 1, faulty),
    refused(
        "path not allowed",
        *(403, "directory_not_allowed", 4),
        fields={"directory": "/etc"},
        settings={"allowed_roots": "/srv"},
    ),
    refused("If-Match differs", 412, "revision_mismatch", 5, headers={"If-Match": '"7-sha256:00"'}),
    applied("If-Match holds", headers={"If-Match": "*"}),
    applied("rollback", path=ROLLBACK, fields={"generation": 1}),
    rejected("rollback, nothing loads", 422, "no_characters", fails_again, path=ROLLBACK, fields={"generation": 1}),
    refused("rollback target unknown", 409, "unknown_generation", path=ROLLBACK, fields={"generation": 9}),
    refused("rollback, none before", 409, "unknown_generation", path=ROLLBACK),
    refused("rollback, If-Match differs", 412, "revision_mismatch", 5, path=ROLLBACK, headers={"If-Match": '"x"'}),
    refused("rollback, unknown field", 400, "invalid_request", path=ROLLBACK, fields={"directory": "default"}),
    refused("rollback, not authorised", 403, "forbidden", 4, path=ROLLBACK, headers=FOREIGN),
    refused("stopping", 503, "stopping", world=stopping),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.case)
async def test_every_outcome_is_told_alike(
    row: Row,
    directory: Path,
    aiohttp_client: Callable[..., Awaitable[Client]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For each outcome status, code, report, metric, log line, history and exit status agree (promise 5)."""
    if row.world is fails_again:
        monkeypatch.setattr("os.only_once", None, raising=False)
        (directory / "ada.py").write_text(f"import os; os.only_once\n{character('Ada')}")
    client = await aiohttp_client(create_app(Settings(directory=directory, **row.settings)))
    row.world(Scene(directory, monkeypatch, row.settings))
    if row.world is stopping:
        await client.app[MANAGER].close(0)
    before, last = client.app[MANAGER].current, client.app[MANAGER].last_reload
    gauge, counter = client.app[METRICS].last_successful, client.app[METRICS].reloads
    gauge.set(UNTOUCHED)
    caplog.clear()
    caplog.set_level(logging.INFO, "charhost.reload")

    answer = await client.post(row.path, data=body_of(row), headers={"Content-Type": "application/json", **row.headers})
    document = json.loads(await answer.read())

    assert (answer.status, document.get("code")) == (row.status, row.code)
    assert (document.get("outcome"), document.get("success")) == (row.outcome, row.success)
    assert ("Retry-After" in answer.headers) == (row.status == 503)
    assert answer.content_type == ("application/json" if row.status == 200 else "application/problem+json")
    assert gauge._value.get() == row.successful
    lines = [record.message for record in caplog.records if record.message.startswith("character reload ")]
    history = await client.app[MANAGER].store.attempts(100)
    if row.outcome is None:
        assert (lines, client.app[MANAGER].last_reload, len(history)) == ([], last, 1)
    else:
        trigger = "rollback" if row.path == ROLLBACK else "http"
        (line,) = lines
        assert line.startswith(f"character reload {row.outcome} ({trigger}")
        assert counter.labels(trigger, row.outcome)._value.get() == 1
        assert (len(history), history[0].reload_id, history[0].outcome) == (2, document["reload_id"], row.outcome)
        kept = client.app[MANAGER].last_reload
        assert kept is not None
        assert (kept.reload_id == document["reload_id"]) == (not row.fields.get("dry_run"))
    assert (client.app[MANAGER].current is before) == (row.outcome != "applied")
    assert await said_by_the_script(row, client, answer.status, await answer.read()) == row.script
    assert await said_by_the_command(row, client) in (row.script, None)


def body_of(row: Row) -> bytes | AsyncIterator[bytes]:
    if row.body == b"":
        return endless()
    return json.dumps(row.fields).encode() if row.body is None else row.body


async def endless() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(60)


def options_of(row: Row) -> list[str] | None:
    """How the same is asked for on a command line, or None where that lets no such request through."""
    if row.code == "invalid_request" or row.body is not None or set(row.headers) - {"Authorization", "If-Match"}:
        return None
    options = ["--if-match", row.headers["If-Match"]] if "If-Match" in row.headers else []
    for name, value in row.fields.items():
        option = [] if name in ("directory", "generation") else [f"--{name.replace('_', '-')}"]
        options += option if value is True else [*option, str(value)]
    return options


def key_of(row: Row) -> str | None:
    """The key that the row sends."""
    return row.headers.get("Authorization", "").removeprefix("Bearer ") or None


async def said_by_the_script(row: Row, client: Client, status: int, body: bytes) -> int:
    """The exit status of the script: it is run where it can ask for the same, else asked about the answer."""
    options = options_of(row)
    if options is None or row.path != RELOAD or set(row.fields) - {"directory"}:
        return script.exit_status(script.Answer("http://x", status, "", Message(), body))
    environment = {name: value for name, value in os.environ.items() if not re.match("CHARHOST_|PYTHON", name)}
    if (key := key_of(row)) is not None:
        environment["CHARHOST_ADMIN_KEY"] = key
    url, place = str(client.make_url("/")), [] if "directory" in row.fields else ["default"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", script.__file__, *place, *options, "--url", url, "--timeout", "60"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    _, complaint = await process.communicate()
    if process.returncode:
        assert f"({status} {json.loads(body)['code']})" in complaint.decode()
    return process.returncode or 0


async def said_by_the_command(row: Row, client: Client) -> int | None:
    """The exit status of `charhost reload` or `charhost rollback`, None where it cannot ask for the same."""
    options = options_of(row)
    if options is None:
        return None
    command = "rollback" if row.path == ROLLBACK else "reload"
    line = [command, *options, "--url", str(client.make_url("")).rstrip("/")]
    result = await asyncio.to_thread(CliRunner().invoke, app, line, env={"CHARHOST_ADMIN_KEY": key_of(row)})
    return result.exit_code
