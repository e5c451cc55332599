"""--state with real processes: killed at any moment, on a full disk, with a file that is none."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from scripts.benchmarks.kills import Kills
from tests.conftest import character
from tests.e2e.conftest import PATIENCE, Server, output, running
from tests.e2e.helpers import may

FULL = 'mount -t tmpfs -o size=600k tmpfs "$0"'


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
async def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(tmp_path: Path, kills: int) -> None:
    """After kills during reloads and chats the file opens, with every acknowledged reload and turn."""
    run = Kills(tmp_path)
    for kill in range(1, kills + 9):
        # On a busy machine so few servers may acknowledge nothing within a quarter of a second each.
        await run.round(longest=0.25 * 2 ** max(0, kill - kills))
        if kill >= kills and all(run.found[what] for what in ("turns", "items", "reloads", "rollbacks")):
            break
    await run.check_all()
    found = run.found
    assert min(found[what] for what in ("turns", "items", "reloads", "rollbacks")) > 0, found


async def test_a_damaged_file_is_reported_and_the_server_does_not_start(directory: Path, tmp_path: Path) -> None:
    """A damaged file is one line with the remedy; the server does not start, and the file is unchanged."""
    state = tmp_path / "state.db"
    state.write_bytes(b"SQLite format 3\0" + bytes(8000))
    state.chmod(0o600)
    before = state.read_bytes()
    status, _, complaint = await output(
        *(sys.executable, "-m", "charhost", "serve", "--port", "1", "--state", str(state)),
        *("--directory", str(directory)),
    )
    last = complaint.splitlines()[-1]
    assert (status, state.read_bytes()) == (2, before)
    assert re.fullmatch(rf"charhost: the state file {state} is damaged \(.*\); nothing was written to it: put .*", last)
    assert "Traceback" not in complaint


@pytest.mark.skipif(not may("mount -t tmpfs tmpfs /tmp"), reason="no file system can be mounted here")
async def test_a_full_disk_costs_history_and_not_the_server(directory: Path, tmp_path: Path) -> None:
    """On a full disk reloads and responses work, the losses are counted, and free space is used at once."""
    (disk := tmp_path / "disk").mkdir()
    script = f'{FULL}\nstate="$0"\nshift\nexec "$@" --state "$state/state.db"'
    async with running(directory, before=("unshare", "-Urm", "sh", "-euc", script, str(disk), "--")) as server:
        inside = Path(f"/proc/{server.process.pid}/root{disk}")
        async with aiohttp.ClientSession(server.url) as http:
            ballast = inside / "ballast"
            fill(ballast)
            for number in range(3):
                (directory / "ada.py").write_text(character("Ada", f"{number} " * 5_000))
                assert (await applied(http))["generation"] == number + 2
            assert await response_status(server) == "completed"
            assert await metric(http, "charhost_history_errors_total") == 3
            assert await metric(http, "charhost_conversation_errors_total") >= 1
            ballast.unlink()
            report = await applied(http)
            async with http.get(f"/v1/characters/reloads/{report['reload_id']}") as answer:
                assert answer.status == 200
        log = server.log.read_text()
        assert "database or disk is full" in log
        assert await server.stop() == 0


@pytest.mark.skipif(not may("mount -t tmpfs tmpfs /tmp"), reason="no file system can be mounted here")
async def test_a_start_on_a_full_disk_names_the_reason(directory: Path, tmp_path: Path) -> None:
    """On a full disk the error at the start names the file and the missing space."""
    (disk := tmp_path / "disk").mkdir()
    script = f'{FULL}\n(cat /dev/zero > "$0/ballast") 2> /dev/null || true\nexec "$@" --state "$0/state.db"'
    status, _, complaint = await output(
        *("unshare", "-Urm", "sh", "-euc", script, str(disk), sys.executable, "-m", "charhost", "serve"),
        *("--port", "1", "--directory", str(directory)),
    )
    assert (status, complaint.count("Traceback")) == (2, 0)
    assert f"charhost: the state file {disk}/state.db cannot be used: the disk is full" in complaint


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
async def test_a_read_only_folder_is_reported(directory: Path, tmp_path: Path) -> None:
    """SQLite has to make files beside the state file."""
    (folder := tmp_path / "closed").mkdir(mode=0o555)
    no_root = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    status, _, complaint = await output(
        *(*no_root, sys.executable, "-m", "charhost", "serve", "--port", "1", "--directory", str(directory)),
        *("--state", str(folder / "state.db")),
    )
    assert status == 2
    assert f"charhost: the state file {folder}/state.db cannot be used: files have to be made beside it" in complaint


def fill(ballast: Path) -> None:
    """Leave no room on a disk."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


async def applied(http: aiohttp.ClientSession) -> dict[str, int]:
    """The report of a reload that was applied."""
    async with http.post("/v1/characters/reload", json={"sessions": "keep"}) as answer:
        report: dict[str, int] = await answer.json()
    assert answer.status == 200, report
    return report


async def response_status(server: Server) -> str:
    """Return how a response ended."""
    async with asyncio.timeout(PATIENCE), server.talk() as client:
        await client.send(json.dumps({"type": "response.create"}))
        while (event := json.loads(await client.recv()))["type"] != "response.done":
            pass
    return str(event["response"]["status"])


async def metric(http: aiohttp.ClientSession, name: str) -> float:
    """Return the value of a metric."""
    async with http.get("/metrics") as answer:
        found = re.search(rf"^{name} (\S+)$", await answer.text(), re.MULTILINE)
    assert found
    return float(found[1])


async def test_a_stop_and_a_start_lose_nothing(directory: Path, tmp_path: Path) -> None:
    """After SIGTERM in a conversation, and without the directory, the next server has the conversation and the
    characters."""
    options = ("--state", str(tmp_path / "state.db"), "--resume-set")
    async with running(directory, *options) as server, server.talk() as client:
        session = json.loads(await client.recv())["session"]["id"]
        await client.send(json.dumps({"type": "response.create"}))
        while json.loads(await client.recv())["type"] != "response.done":
            pass
        assert await server.stop(signal.SIGTERM) == 0
        assert [file.name for file in tmp_path.glob("state.db*")] == ["state.db"]
    shutil.rmtree(directory)
    async with running(directory, *options) as server, aiohttp.ClientSession(server.url) as http:
        async with http.ws_connect("/v1/realtime", params={"resume": session}) as ws:
            assert (await ws.receive_json(timeout=PATIENCE))["session"]["id"] == session
        async with http.get("/v1/characters") as answer:
            assert [entry["name"] for entry in (await answer.json())["characters"]] == ["Ada"]


@pytest.mark.slow
async def test_a_second_server_does_not_start_on_the_file(directory: Path, tmp_path: Path) -> None:
    """It ends with the reason, and the first one goes on."""
    state = tmp_path / "state.db"
    async with running(directory, "--state", str(state)) as first:
        command = (sys.executable, "-m", "charhost", "serve", "--port", "1", "--state", str(state))
        status, _, complaint = await output(*command, "--directory", str(directory))
        assert status == 2
        assert "in use by another server" in complaint.splitlines()[-1]
        assert await response_status(first) == "completed"
        assert await first.stop() == 0
