"""Bodies and messages with millions of small values, over every door of a server process."""

from __future__ import annotations

import json
import re
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from pydantic_core import to_json
from websockets.sync.client import connect

from tests.e2e.conftest import PATIENCE, BlockingServer

HI = b'"messages":[{"role":"user","content":"Hi"}]'
TOOL = b'{"type":"function","function":{"name":"look","parameters":{"type":"object","enum":%(bomb)b}}}'
# The 200,000 values of one text, and a few copies of a body; without the limit it is a gigabyte.
MOST_MEMORY = 250 << 20

BODIES = {
    "ignored field": ("/v1/chat/completions", b'{"model":"Ada",%b,"x":%%(bomb)b}' % HI, 413),
    "tool": ("/v1/chat/completions", b'{"model":"Ada",%b,"n":8,"tools":[%b]}' % (HI, TOOL), 413),
    "content": ("/v1/chat/completions", b'{"model":"Ada","messages":[{"role":"user","content":%(bomb)b}]}', 413),
    "responses": ("/v1/responses", b'{"model":"Ada","input":%(bomb)b}', 413),
    "client secret": ("/v1/realtime/client_secrets", b'{"session":{"tools":%(bomb)b}}', 413),
    "reload": ("/v1/characters/reload", b'{"x":%(bomb)b}', 413),
    "depth": ("/v1/chat/completions", b'{"model":"Ada",%b,"x":%%(depth)b}' % HI, 413),
    "little depth": ("/v1/chat/completions", b'{"model":"Ada",%b,"x":%%(little_depth)b}' % HI, 400),
}


def bomb() -> bytes:
    """Return as many values as a request may have bytes for."""
    return b"[" + b"[]," * ((24 << 20) // 3 - 100) + b"0]"


@pytest.fixture(scope="module")
def started(server: BlockingServer) -> tuple[BlockingServer, int]:
    """The server, and the bytes that it had in memory before the first test."""
    return server, memory(server, "VmRSS")


def memory(server: BlockingServer, field: str = "VmHWM") -> int:
    """Return the bytes that the process has, or had at most, in memory."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def posted(server: BlockingServer, path: str, body: bytes) -> tuple[int, str]:
    """Post a body, and have the server's health asked for meanwhile; return the status and the text."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        assert server.get("/v1/health")[0] == 200
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize("name", BODIES)
def test_body_of_many_values(started: tuple[BlockingServer, int], name: str) -> None:
    """It is refused before the values are made, and the server goes on meanwhile."""
    server, before = started
    path, body, status = BODIES[name]
    parts = {b"bomb": bomb(), b"depth": b"[" * (20 << 20), b"little_depth": b"[" * 10_000}
    found, text = posted(server, path, body % parts)
    assert (found, "too large" in text or "larger" in text) == (status, status == 413)
    assert memory(server) - before < MOST_MEMORY


def test_message_of_many_values(started: tuple[BlockingServer, int]) -> None:
    """It is refused over a WebSocket, which stays open."""
    server, before = started
    with connect(f"ws://127.0.0.1:{server.port}/v1/realtime?dialect=ga", proxy=None) as socket:
        assert json.loads(socket.recv(PATIENCE))["type"] == "session.created"
        for kind in (b"session.update", b"response.create", b"nonsense"):
            socket.send((b'{"type":"%b","session":{},"x":%b}' % (kind, bomb())).decode()[: 24 << 20])
            event = json.loads(socket.recv(PATIENCE))
            assert (event["type"], event["error"]["code"]) == ("error", "request_too_large")
    assert memory(server) - before < MOST_MEMORY


def test_table_in_a_message(server: BlockingServer) -> None:
    """A message with a table of 1.5 MB, which has more commas than a text may have values, is one value."""
    table = 'a "b",1,{2},[3]\n' * 100_000
    body = to_json({"model": "Ada", "messages": [{"role": "user", "content": table}]})
    assert posted(server, "/v1/chat/completions", body)[0] == 200
