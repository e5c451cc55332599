"""Few descriptors: connections leave some for everything else, and a server that has none comes back by itself."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from typing import Any

import pytest

from tests.conftest import character
from tests.e2e.conftest import PATIENCE, BlockingServer, wait_for

pytestmark = pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")

MOST = 100
HOLDS = """
HELD = []
try:
    while True:
        HELD.append(open("/dev/null"))
except OSError:
    pass


class PromptGenerator(PromptGenerator):
    def make_system_prompt(self):
        HELD.clear()
        return "Be kind."
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BlockingServer]:
    """A server that may have a hundred descriptors, so fifty connections."""
    server = BlockingServer(
        tmp_path, "--state", str(tmp_path / "state.db"), before=("prlimit", f"--nofile={MOST}:{MOST}")
    )
    yield server
    server.process.kill()
    server.process.wait(PATIENCE)


def descriptors(server: BlockingServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_silent_connections_leave_descriptors(server: BlockingServer) -> None:
    """Above the limit connections are refused with 503, and idle ones are closed: the next client is served."""
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(80)]
        refused = [one for one in silent if beginning(one).startswith(b"HTTP/1.1 503 ")]
        assert refused
        assert descriptors(server) < MOST - 10
        wait_for(server.answers)
        assert server.reload("default")[0] == 200
        assert b"session.created" in server.greeting()
    assert server.log.count("at the limit of 50 connections") == 1
    server.assert_well()
    assert "Too many open files" not in server.log


def beginning(connection: socket.socket) -> bytes:
    """Return what the server has sent, and nothing if it waits for a request."""
    connection.settimeout(0.1)
    with suppress(TimeoutError):
        return connection.recv(1 << 16)
    return b""


class SecureServer(BlockingServer):
    """A server with TLS that may have a hundred descriptors, and its clients."""

    def __init__(self, home: Path, certificate: tuple[Path, Path]) -> None:
        self.context = create_default_context(cafile=certificate[0])
        cert, key = map(str, certificate)
        super().__init__(home, "--tls-cert", cert, "--tls-key", key, before=("prlimit", f"--nofile={MOST}:{MOST}"))

    def connection(self) -> HTTPConnection:
        return HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=self.context)


def test_clients_that_begin_no_tls_leave_descriptors(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """They count as connections from the first moment, and make room for the next client; a few may leave early."""
    server = SecureServer(tmp_path, certificate)
    try:
        with ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(80)]
            silent[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
            silent[1].close()
            wait_for(lambda: "at the limit of 50 connections" in server.log)
            wait_for(server.answers)
            assert descriptors(server) < MOST - 10
            assert server.reload("default")[0] == 200
        assert server.log.count("at the limit of 50 connections") == 1
        assert "Traceback" not in server.log
        assert server.end() == 0
    finally:
        server.process.kill()
        server.process.wait(PATIENCE)


def ask(connection: HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, Any]:
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_a_server_without_descriptors_comes_back(server: BlockingServer) -> None:
    """Meanwhile it loses no character, names the reason, writes one line a minute, and accepts clients afterwards."""
    (server.directory / "bob.py").write_text(character("Bob") + HOLDS)
    talk = {"model": "Ada", "messages": [{"role": "user", "content": "Hello"}]}
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as client:
        assert ask(client, "POST", "/v1/chat/completions", talk)[0] == 200
        assert ask(client, "POST", "/v1/characters/reload", {})[0] == 200
        with ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            status, problem = ask(client, "POST", "/v1/characters/reload", {})
            assert (status, problem["code"]) == (403, "directory_not_readable")
            assert problem["detail"].endswith("(Too many open files)")
            names = [entry["name"] for entry in ask(client, "GET", "/v1/characters")[1]["characters"]]
            assert names == ["Ada", "Bob", "Zoe"]
            wait_for(lambda: "could not be accepted" in server.log)
            assert ask(client, "POST", "/v1/chat/completions", talk | {"model": "Bob"})[0] == 200
    wait_for(server.answers)
    assert server.log.count("could not be accepted; trying again each second: [Errno 24] Too many open files") == 1
    assert "Traceback" not in server.log
    assert len(server.log) < 10_000
    (server.directory / "bob.py").unlink()
    server.assert_well()
    assert server.end() == 0
