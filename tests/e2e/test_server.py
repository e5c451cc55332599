"""The real thing: a server process with the default characters, curl, the script and a `websockets` client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from charhost.report import DEFAULT_SET
from charhost.settings import default_directory
from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, PATIENCE, Server, needs_curl, output, running
from tests.web.named_set import BOTH

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "reload_characters.py"


Running = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(params=BOTH)
def running_set(request: pytest.FixtureRequest) -> Running:
    """Runs a server whose default set, or whose named one, has a directory."""
    return partial(running, set_name=request.param)


async def script(server: Server, *arguments: str) -> tuple[int | None, str, str]:
    """Run `scripts/reload_characters.py`, and return its output."""
    of_set = () if server.set_name == DEFAULT_SET else ("--set", server.set_name)
    return await output(sys.executable, "-I", "-S", str(SCRIPT), *arguments, *of_set, "--url", server.url)


async def curl(*arguments: str) -> Any:
    """The JSON that curl prints."""
    return json.loads((await output("curl", "--silent", "--show-error", "--noproxy", "*", *arguments))[1])


async def farewell(ws: ClientConnection) -> tuple[dict[str, Any], int, str]:
    """The last event that a client is sent, the close code and the reason."""
    last: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE):
        with suppress(websockets.ConnectionClosedError):  # any code but 1000 and 1001
            async for frame in ws:
                last = json.loads(frame)
    assert ws.close_code is not None
    return last, ws.close_code, ws.close_reason or ""


async def test_a_reload_by_the_script_reaches_the_clients(characters: Path, running_set: Running) -> None:
    """A reload by the script closes a client with 1012, after an event with the reason (promise 29)."""
    async with running_set(characters) as server, server.talk() as ws:
        created = json.loads(await ws.recv())
        assert (created["type"], created["session"]["object"]) == ("session.created", "realtime.session")
        status, printed, _ = await script(server, str(characters))
        event, code, reason = await farewell(ws)
    assert (status, "Characters reloaded successfully!" in printed) == (0, True)
    assert event["error"]["message"] == f"Characters reloaded from {characters}. Please reconnect."
    assert (event["error"]["type"], code) == ("fatal", 1012)
    assert f"Characters reloaded from {characters}".startswith(reason)


async def test_the_script_shows_what_failed(characters: Path) -> None:
    """The script prints the counts and a line for each file that was left out."""
    async with running(characters) as server:
        (characters / "broken.py").write_text("\ndef broken(:")
        status, printed, complaint = await script(server, "default")
    total = len(list(default_directory().glob("[!_]*.py"))) + 1
    assert (status, complaint) == (0, "")
    assert f"  Loaded: {total - 1}/{total} characters\n  Errors: 1\n" in printed
    assert re.search(r"^  broken\.py:2: SyntaxError: \S", printed, re.MULTILINE)


async def test_the_script_refused_leaves_all_as_it_is(characters: Path, running_set: Running) -> None:
    """For a missing directory the script exits with 1, and a client's session continues (promise 2)."""
    async with running_set(characters) as server, server.talk() as ws:
        await ws.recv()
        status, _, complaint = await script(server, "/nowhere")
        await ws.send('{"type": "session.update", "session": {}}')
        assert json.loads(await ws.recv())["type"] == "session.updated"
    assert (status, "Directory not found: /nowhere" in complaint) == (1, True)


@needs_curl
async def test_curl_reads_and_reloads(characters: Path, running_set: Running) -> None:
    """The commands of the README work: the catalog, a reload, and the catalog again (promise 1)."""
    async with running_set(characters) as server:
        before = await curl(f"{server.url}/v1/characters?set={server.set_name}")
        (characters / "ada.py").write_text(character("Ada"))
        report = await curl(
            f"{server.url}/v1/characters/reload?set={server.set_name}",
            *("--header", "Content-Type: application/json", "--data", json.dumps({"directory": str(characters)})),
        )
        after = await curl(f"{server.url}/v1/characters?set={server.set_name}")
    assert report["changes"]["added"] == ["Ada"]
    assert len(after["characters"]) == len(before["characters"]) + 1
    assert (after["generation"], after["revision"]) == (report["generation"], report["revision"])


@needs_curl
async def test_curl_as_a_foreign_page_reloads_nothing(characters: Path) -> None:
    """A post with a foreign `Origin` or `Host` is refused by the real server too."""
    async with running(characters) as server:
        for header in ("Origin: http://evil.com", "Host: evil.com"):
            problem = await curl(f"{server.url}/v1/characters/reload", "--json", "{}", "--header", header)
            assert (problem["status"], problem["code"]) == (403, "forbidden")


async def test_every_default_character_can_be_talked_to(characters: Path) -> None:
    """All default characters load, and each greets a client that names it."""
    async with running(characters) as server:
        _, printed, _ = await script(server, "default", "--json")
        report = json.loads(printed[printed.index("{") :])
        assert (report["error_count"], report["loaded_count"]) == (0, report["total_files"])
        assert report["loaded_count"] >= 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_server(characters: Path, number: int) -> None:
    """SIGTERM and SIGINT close every client with 1001 and end the process soon."""
    async with running(characters, python=sys.executable) as server, server.talk() as one, server.talk() as two:
        await one.recv()
        await two.recv()
        ending = asyncio.create_task(server.stop(number))
        ends = [await farewell(ws) for ws in (one, two)]
        assert await ending == 0
    assert [(code, reason) for _, code, reason in ends] == [(1001, "Server is shutting down")] * 2


@pytest.mark.parametrize("source", ["while True: pass", "import time; time.sleep(1000)"])
async def test_a_file_that_hangs_does_not_hold_up_the_end(characters: Path, source: str, running_set: Running) -> None:
    """A file that never finishes importing costs only itself, and SIGTERM still ends the server (promise 12)."""
    (characters / "ada.py").write_text(source)
    async with running_set(characters, "--file-deadline", "0.5", python=sys.executable) as server:
        assert any("ada.py" in line and "LoadTimeout" in line for line in server.lines)
        assert await server.stop() == 0


async def test_sigterm_during_a_reload_ends_the_server(characters: Path, running_set: Running) -> None:
    """The server ends at its own deadline in the middle of a reload that hangs (promise 17)."""
    async with running_set(characters, "--shutdown-timeout", "0.5", python=sys.executable) as server:
        begun = characters.parent / "begun"
        (characters / "ada.py").write_text(f"open({str(begun)!r}, 'w').close()\nimport time; time.sleep(1000)")
        asking = asyncio.create_task(script(server, "default"))
        async with asyncio.timeout(PATIENCE):
            while not begun.exists():
                await asyncio.sleep(0.01)
        assert await server.stop() == 0
        assert (await asking)[0] in (1, 3)


async def test_the_log_file_can_be_searched(characters: Path) -> None:
    """`grep character logs/server.log` finds each reload and each failed file, at their levels."""
    (characters / "broken.py").write_text("def broken(:")
    async with running(characters) as server:
        await script(server, "default")
        await script(server, "/nowhere")
        _, found, _ = await output("grep", "character", str(server.log))
    lines = [line.split(" ", 3)[2:] for line in found.splitlines()]
    levels = [level for level, text in lines if text.startswith("charhost.reload: character ")]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO", "ERROR"]
    assert "broken.py:1: SyntaxError" in found


async def test_no_bytecode_is_left_in_the_directory(characters: Path, running_set: Running) -> None:
    """A real server, with Python's bytecode on, writes nothing beside the characters (promise 27)."""
    async with running_set(characters, before=("env", "-u", "PYTHONDONTWRITEBYTECODE")) as server:
        await script(server, "default")
    assert [folder for folder, _, _ in os.walk(characters) if folder.endswith("__pycache__")] == []


async def test_the_limit_of_open_files_is_raised(characters: Path) -> None:
    """The server may open as many sockets as the system lets it."""
    async with running(characters, before=("sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh")) as server:
        _, limits, _ = await output("cat", f"/proc/{server.process.pid}/limits")
    soft, hard = re.findall(r"Max open files\s+(\d+)\s+(\d+)", limits)[0]
    assert soft == hard


@pytest.mark.skipif(
    shutil.which("setpriv") is None and os.geteuid() == 0, reason="root reads everything, and there is no setpriv"
)
async def test_a_directory_without_permission_is_refused(
    characters: Path, tmp_path: Path, running_set: Running
) -> None:
    """A directory, or a file, that the server's user may not read: refused, or left out (promise 2)."""
    (tmp_path / "closed").mkdir(mode=0)
    (characters / "secret.py").write_text(character("Ada"))
    (characters / "secret.py").chmod(0)
    drop = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    async with running_set(characters, before=drop) as server:
        status, _, complaint = await script(server, str(tmp_path / "closed"))
        _, printed, _ = await script(server, "default")
    (tmp_path / "closed").chmod(0o700)
    assert (status, "403 directory_not_readable" in complaint) == (1, True)
    assert "  secret.py: OSError: Permission denied" in printed


async def test_other_machines_are_refused_without_a_key(characters: Path) -> None:
    """A server without a key does not start on an address for other machines, and names the setting."""
    status, _, complaint = await output(
        *(sys.executable, "-m", "charhost", "serve", "--directory", str(characters), "--host", "0.0.0.0")
    )
    assert (status, "set CHARHOST_ADMIN_KEY" in complaint) == (2, True)


async def test_a_key_is_asked_for_and_never_logged(
    characters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key file the script needs the key; neither key nor query string is in the log."""
    (tmp_path / "key").write_text("s3cret\n")
    async with running(characters, "--admin-key-file", str(tmp_path / "key")) as server:
        refused, _, complaint = await script(server, "default")
        monkeypatch.setitem(ENVIRONMENT, "CHARHOST_ADMIN_KEY", "s3cret")
        allowed, _, _ = await script(server, "default")
        async with connect(
            f"{server.url.replace('http', 'ws', 1)}/v1/realtime?model=Charlotte&token=t0ken",
            proxy=None,
            subprotocols=[websockets.Subprotocol("realtime"), websockets.Subprotocol("openai-insecure-api-key.s3cret")],
        ) as ws:
            await ws.recv()
        assert await server.stop() == 0
    assert (refused, allowed, "CHARHOST_ADMIN_KEY" in complaint) == (4, 0, True)
    assert not re.search("s3cret|t0ken", server.log.read_text())
