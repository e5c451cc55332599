"""Processes that files fork from a server, or from the check of one: none keeps what belongs to the server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, PATIENCE, BlockingServer, wait_for
from tests.sandbox.helpers import LEAVES, SLEEPS, kill, mark, marked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")

__all__ = ["mark"]


@pytest.fixture
def server(tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingServer]:
    """A server with a state file; its processes are killed afterwards."""
    monkeypatch.setitem(ENVIRONMENT, "MARK_OF_TEST", mark)
    options = ("--state", str(tmp_path / "state.db"), "--check-isolated")
    # What a process has in its environment is what its interpreter was started with.
    yield (server := BlockingServer(tmp_path, *options, python=sys.executable))
    server.process.kill()
    server.process.wait(PATIENCE)
    for pid in marked(mark):
        kill(pid, mark)


def test_a_process_that_a_file_forks_keeps_nothing_of_the_server(server: BlockingServer, mark: str) -> None:
    """It has neither the port, nor a connection, nor the state file; the next server has all of them at once."""
    (server.directory / "bob.py").write_text(LEAVES + character("Bob"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        assert server.reload("default", check_isolated=False)[0] == 200
        wait_for(lambda: len(strangers_of(server.process.pid, mark)) == 1)
        (left,) = strangers_of(server.process.pid, mark)
        server.process.kill()
        server.process.wait(PATIENCE)
        assert client.recv(1) == b""
    opened = [os.readlink(entry) for entry in Path(f"/proc/{left}/fd").iterdir()]
    assert [path for path in opened if "state.db" in path] == []
    socket.create_server(("127.0.0.1", server.port)).close()
    wait_for(lambda: marked(mark) == [left])  # the fork server notices the end of the server, too
    assert marked(mark) == [left]
    options = ("--port", str(server.port), "--state", str(server.home / "state.db"))
    command = [sys.executable, "-m", "charhost", "serve", "--directory", str(server.directory), *options]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as later:
        wait_for(server.answers)
        status = server.get("/v1/health")[0]
        later.terminate()
    assert (status, later.returncode) == (200, 0)


def strangers_of(process: int, mark: str) -> set[int]:
    """Return the marked processes that are neither *process* nor a child of it."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return set(marked(mark)) - {process, *map(int, children)}


def test_a_killed_server_takes_the_processes_of_a_check_along(
    server: BlockingServer, mark: str, tmp_path: Path
) -> None:
    """Processes that a checked file started end with the server, also in sessions of their own."""
    begun = tmp_path / "begun"
    (server.directory / "bob.py").write_text(f"{LEAVES}open({str(begun)!r}, 'w')\n{SLEEPS}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        body = b'{"directory": "default"}'
        head = f"POST /v1/characters/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        wait_for(begun.exists)
        server.process.kill()
        server.process.wait(PATIENCE)
    wait_for(lambda: marked(mark) == [])
    assert marked(mark) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_check_leaves_no_process(server: BlockingServer, mark: str, end: signal.Signals) -> None:
    """`charhost check` that is ended takes along what the file that it tries has started."""
    begun = server.home / "begun"
    (server.directory / "bob.py").write_text(f"{LEAVES}open({str(begun)!r}, 'w')\n{SLEEPS}")
    server.process.kill()
    command = [sys.executable, "-m", "charhost", "check", str(server.directory)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as check:
        wait_for(begun.exists)
        check.send_signal(end)
    wait_for(lambda: marked(mark) == [])
    assert marked(mark) == []
