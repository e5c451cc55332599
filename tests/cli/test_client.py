"""All commands that send requests to a running server: keys, responses, exit statuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charhost.cli import app
from tests.cli.recording_server import PATH_OF, RESPONSES, RecordingServer
from tests.e2e.conftest import free_port


@pytest.mark.parametrize("command", PATH_OF)
async def test_each_command_requests_its_endpoint(server: RecordingServer, command: str) -> None:
    """Every command sends one request to its own path, and ends with 0 on success."""
    result = await server.run(command)
    assert (result.exit_code, result.stderr) == (0, "")
    method = "POST" if command in ("reload", "rollback", "resume") else "GET"
    assert [(method, path) for method, path, _ in server.requests] == [(method, PATH_OF[command])]


@pytest.mark.parametrize("command", PATH_OF)
async def test_json_is_the_response_unchanged(server: RecordingServer, command: str) -> None:
    """With `--json` only the server's response is printed."""
    result = await server.run(command, "--json")
    assert (json.loads(result.stdout), result.stderr) == (RESPONSES[command], "")


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
    server: RecordingServer, status: int, problem: dict[str, Any], exit_status: int
) -> None:
    """A refusal is printed on standard error with the server's own message, and its kind is the exit status."""
    server.status, server.body = status, problem
    result = await server.run("reload")
    assert (result.exit_code, result.stdout) == (exit_status, "")
    assert f"({status} {problem['code']})" in result.stderr
    assert problem["detail"] in result.stderr


async def test_refusal_names_the_files(server: RecordingServer) -> None:
    """Each file that failed is a line of the refusal."""
    error = {"file": "bob.py", "line": 2, "error_type": "NameError", "message": "x\x1b[2J"}
    server.status, server.body = 422, {"code": "set_rejected", "detail": "No.", "errors": [error]}
    assert r"bob.py:2: NameError: x\x1b[2J" in (await server.run("reload")).stderr


async def test_refusal_in_json_is_printed_too(server: RecordingServer) -> None:
    """With `--json` a refusal is the problem document on standard output, and the message on standard error."""
    server.status, server.body = 422, {"code": "set_rejected", "detail": "No."}
    result = await server.run("reload", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, server.body)
    assert "No." in result.stderr


FOREIGN_RESPONSES = ["<html>", [1, 2], {"hello": "world"}, {"serving": 1, "reloads": 2}, "[" * 100_000]


@pytest.mark.parametrize("command", PATH_OF)
async def test_response_of_another_endpoint_is_an_error(server: RecordingServer, command: str) -> None:
    """A response of the shape of another endpoint is an error."""
    server.body = {"serving": 1, "reloads": {}, "directory": "/"}
    assert (await server.run(command)).exit_code == 1


@pytest.mark.parametrize("body", FOREIGN_RESPONSES, ids=["html", "list", "object", "other types", "deep"])
async def test_response_of_another_server_is_an_error(server: RecordingServer, body: Any) -> None:
    """A response with status 200 that is not charhost's is an error."""
    server.body = body
    result = await server.run("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is it a charhost server?" in result.stderr


async def test_redirect_is_not_followed(server: RecordingServer) -> None:
    """A redirect is not followed, so that the key goes only to the named server."""
    server.status, server.body, server.headers = 307, "", {"Location": "http://elsewhere.example/"}
    result = await server.run("status", CHARHOST_ADMIN_KEY="s3cret")
    assert (result.exit_code, len(server.requests)) == (1, 1)
    assert "redirects to http://elsewhere.example/" in result.stderr


async def test_proxy_of_the_environment_is_not_used(server: RecordingServer) -> None:
    """A proxy of the environment is not used, since it would receive the key."""
    assert (await server.run("status", http_proxy="http://127.0.0.1:9")).exit_code == 0


async def test_key_comes_from_the_environment(server: RecordingServer) -> None:
    """The admin key of the settings is sent, and never printed."""
    result = await server.run("status", CHARHOST_ADMIN_KEY="s3cret")
    assert server.sent[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in result.output


async def test_key_comes_from_a_file(server: RecordingServer, tmp_path: Path) -> None:
    """The key is the first line of the file that the variable names."""
    (tmp_path / "key").write_text("s3cret\nmore\n")
    await server.run("status", CHARHOST_ADMIN_KEY_FILE=str(tmp_path / "key"))
    assert server.sent[0]["Authorization"] == "Bearer s3cret"


async def test_without_a_key_none_is_sent(server: RecordingServer) -> None:
    """Without a key no `Authorization` header is sent."""
    await server.run("status")
    assert "Authorization" not in server.sent[0]


@pytest.mark.parametrize(
    ("name", "value"), [("CHARHOST_ADMIN_KEY", "s3\x07cret"), ("CHARHOST_ADMIN_KEY_FILE", "/nowhere/key")]
)
async def test_key_that_cannot_be_sent_ends_with_2(server: RecordingServer, name: str, value: str) -> None:
    """A key that no header can carry, or a missing key file, ends with 2; the key is not printed."""
    result = await server.run("status", **{name: value})
    assert (result.exit_code, server.requests, result.stdout) == (2, [], "")
    assert "cret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_server_that_is_not_there_ends_with_3() -> None:
    """Without a connection the status is 3, and one line has the remedy."""
    url = f"http://localhost:{free_port()}"
    result = CliRunner().invoke(app, ["status", "--url", url])
    text = f"✗ no server answers at {url}; start one with charhost serve, or name it with --url\n"
    assert (result.exit_code, result.stderr, result.stdout) == (3, text, "")


async def test_server_that_hangs_up_ends_with_3() -> None:
    """A connection that closes without a response ends with 3."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--url", url])
    assert result.exit_code == 3
    assert result.stderr.startswith(f"✗ No answer from {url}: ")


async def test_late_response_ends_with_6(server: RecordingServer) -> None:
    """Without a response within `--timeout` seconds the status is 6."""
    server.pause = 5
    result = await server.run("reload", "--timeout", "0.1")
    assert result.exit_code == 6
    assert "within 0.1 s" in result.stderr


@pytest.mark.parametrize("command", PATH_OF)
def test_help_lists_the_exit_statuses(command: str) -> None:
    """The help of each command lists the exit statuses."""
    assert "4 not authorised" in " ".join(CliRunner().invoke(app, [command, "--help"]).stdout.split())
