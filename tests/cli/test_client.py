"""What all commands have in common that ask a running server: keys, answers, exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from charhost.cli import app
from charhost.cli.client_options import address
from tests.asked import FINE, PATH_OF, Asked, listening
from tests.e2e.conftest import free_port


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set is out of sight."""
    for name in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def asked(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> Asked:
    """A server that answers what a test has prepared."""
    return await listening(aiohttp_server)


@pytest.mark.parametrize("command", PATH_OF)
async def test_each_command_asks_its_endpoint(asked: Asked, command: str) -> None:
    """Every command makes one request, to its own path, and ends with 0 when that is answered."""
    result = await asked.run(command)
    assert (result.exit_code, result.stderr) == (0, "")
    method = "POST" if command in ("reload", "rollback", "resume") else "GET"
    assert [(method, path) for method, path, _ in asked.requests] == [(method, PATH_OF[command])]


@pytest.mark.parametrize("command", PATH_OF)
async def test_json_is_the_answer_as_it_came(asked: Asked, command: str) -> None:
    """With `--json` nothing else is printed."""
    result = await asked.run(command, "--json")
    assert (json.loads(result.stdout), result.stderr) == (FINE[command], "")


PROBLEMS = [
    (422, {"code": "no_characters", "detail": "No character could be loaded."}, 1),
    (400, {"code": "invalid_request", "detail": "No."}, 1),
    (404, {"code": "directory_not_found", "detail": "No."}, 1),
    (403, {"code": "directory_not_readable", "detail": "No."}, 1),
    (409, {"code": "unknown_generation", "detail": "No."}, 1),
    (500, {"code": "internal_error", "detail": "No."}, 1),
    (503, {"code": "stopping", "detail": "No."}, 1),
    (504, {"code": "load_timeout", "detail": "No."}, 1),
    (401, {"code": "invalid_key", "detail": "No."}, 4),
    (403, {"code": "forbidden", "detail": "No."}, 4),
    (403, {"code": "directory_not_allowed", "detail": "No."}, 4),
    (412, {"code": "revision_mismatch", "detail": "No."}, 5),
]


@pytest.mark.parametrize(("status", "problem", "exit_status"), PROBLEMS)
async def test_refusal_has_the_exit_status_of_the_script(
    asked: Asked, status: int, problem: dict[str, Any], exit_status: int
) -> None:
    """A refusal is on standard error, with the server's own sentence; its kind is in the exit status."""
    asked.status, asked.body = status, problem
    result = await asked.run("reload")
    assert (result.exit_code, result.stdout) == (exit_status, "")
    assert f"({status} {problem['code']})" in result.stderr
    assert problem["detail"] in result.stderr


async def test_refusal_names_the_files(asked: Asked) -> None:
    """Each file that failed is a line, as when the reload is applied."""
    error = {"file": "bob.py", "line": 2, "error_type": "NameError", "message": "x\x1b[2J"}
    asked.status, asked.body = 422, {"code": "set_rejected", "detail": "No.", "errors": [error]}
    assert r"bob.py:2: NameError: x\x1b[2J" in (await asked.run("reload")).stderr


async def test_refusal_in_json_is_printed_too(asked: Asked) -> None:
    """A program gets the problem document on standard output, a person the sentence beside it."""
    asked.status, asked.body = 422, {"code": "set_rejected", "detail": "No."}
    result = await asked.run("reload", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, asked.body)
    assert "No." in result.stderr


STRANGERS = ["<html>", [1, 2], {"hello": "world"}, {"serving": 1, "reloads": 2}, "[" * 100_000]


@pytest.mark.parametrize("command", PATH_OF)
async def test_answer_to_something_else_is_told_apart(asked: Asked, command: str) -> None:
    """A status is no history, and the other way round."""
    asked.body = {"serving": 1, "reloads": {}, "directory": "/"}
    assert (await asked.run(command)).exit_code == 1


@pytest.mark.parametrize("body", STRANGERS, ids=["html", "list", "object", "other types", "deep"])
async def test_other_server_is_told_apart(asked: Asked, body: Any) -> None:
    """An answer 200 that is not what was asked for is no success."""
    asked.body = body
    result = await asked.run("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is it a charhost server?" in result.stderr


async def test_redirect_is_not_followed(asked: Asked) -> None:
    """The key goes nowhere else than to the server that was named."""
    asked.status, asked.body, asked.headers = 307, "", {"Location": "http://elsewhere.example/"}
    result = await asked.run("status", CHARHOST_ADMIN_KEY="s3cret")
    assert (result.exit_code, len(asked.requests)) == (1, 1)
    assert "redirects to http://elsewhere.example/" in result.stderr


async def test_proxy_of_the_environment_is_not_asked(asked: Asked) -> None:
    """A proxy would see the key."""
    assert (await asked.run("status", http_proxy="http://127.0.0.1:9")).exit_code == 0


async def test_key_comes_from_the_environment(asked: Asked) -> None:
    """The admin key of the settings is sent, and never printed."""
    result = await asked.run("status", CHARHOST_ADMIN_KEY="s3cret")
    assert asked.sent[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in result.output


async def test_key_comes_from_a_file(asked: Asked, tmp_path: Path) -> None:
    """The first line of the file that the variable names is the key."""
    (tmp_path / "key").write_text("s3cret\nmore\n")
    await asked.run("status", CHARHOST_ADMIN_KEY_FILE=str(tmp_path / "key"))
    assert asked.sent[0]["Authorization"] == "Bearer s3cret"


async def test_without_a_key_none_is_sent(asked: Asked) -> None:
    """A local server without a key asks for none."""
    await asked.run("status")
    assert "Authorization" not in asked.sent[0]


@pytest.mark.parametrize(
    ("name", "value"), [("CHARHOST_ADMIN_KEY", "s3\x07cret"), ("CHARHOST_ADMIN_KEY_FILE", "/nowhere/key")]
)
async def test_key_that_cannot_be_sent_ends_with_2(asked: Asked, name: str, value: str) -> None:
    """A key that no header can carry, or a file that is not there, is wrong usage; the key is not shown."""
    result = await asked.run("status", **{name: value})
    assert (result.exit_code, asked.requests, result.stdout) == (2, [], "")
    assert "cret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_server_that_is_not_there_ends_with_3() -> None:
    """No connection is status 3 and one line, which says what to do about it."""
    url = f"http://localhost:{free_port()}"
    result = CliRunner().invoke(app, ["status", "--url", url])
    said = f"✗ no server answers at {url}; start one with charhost serve, or name it with --url\n"
    assert (result.exit_code, result.stderr, result.stdout) == (3, said, "")


async def test_server_that_hangs_up_ends_with_3() -> None:
    """What came instead of an answer is named, where it is not that nobody listens."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--url", url])
    assert result.exit_code == 3
    assert result.stderr.startswith(f"✗ No answer from {url}: ")


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_address_may_have_its_version(url: str) -> None:
    """The address that other clients are given will do, too."""
    assert address(url) == "http://h:1"


async def test_late_answer_ends_with_6(asked: Asked) -> None:
    """After `--timeout` seconds nobody waits any more."""
    asked.pause = 5
    result = await asked.run("reload", "--timeout", "0.1")
    assert result.exit_code == 6
    assert "within 0.1 s" in result.stderr


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x", "http://", "http://me:pw@x", "http://x/?key=1", "http://[1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """An address that cannot be asked, or that holds a password, is not taken, and not repeated."""
    with pytest.raises(typer.BadParameter, match="expected an address such as") as refused:
        address(url)
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize("command", [*PATH_OF, "chat"])
def test_wrong_address_ends_with_2(command: str) -> None:
    """Every command that takes an address looks at it first."""
    assert CliRunner().invoke(app, [command, "--url", "nowhere"]).exit_code == 2


@pytest.mark.parametrize("command", PATH_OF)
def test_help_tells_the_exit_statuses(command: str) -> None:
    """Whoever writes a script finds what each status means."""
    assert "4 not authorised" in " ".join(CliRunner().invoke(app, [command, "--help"]).stdout.split())
