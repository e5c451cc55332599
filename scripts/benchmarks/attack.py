"""A server under all attacks at once, beside good clients: each of their answers must come, and memory stay flat.

The attackers are a process of their own. A good client asks again after a refusal that names a pause, and resumes a
session that it lost, as SDKs do. The run fails for an answer that does not come within a minute, for memory that grows,
and for a log of more than a megabyte.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from charhost.jsontext import Json
from scripts.benchmarks.attackers import GOOD
from scripts.benchmarks.measure import generate, print_table
from scripts.benchmarks.processes import free_port, memory, python

MEGABYTE = 1 << 20
_CLIENTS = 50
_PAUSE = 1.0  # seconds between an answer and the next question
_LONGEST = 60.0
_MOST_LOG = MEGABYTE
_BUDGET = str(256 * MEGABYTE)
# For what was not tried in the first half of the run; a short one has not tried everything.
_MOST_GROWTH = 1.25
_GONE = (aiohttp.ClientError, OSError, TimeoutError, TypeError)
_FLOOD = 'LLM = {{"url": "http://127.0.0.1:{}/v1", "model": "m"}}\n'
_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How are you?"}]}


class Broken(Exception):
    """A good client had no answer, memory grew, or the log is too long."""


@dataclass
class Found:
    """The seconds that each answer took, the refusals and lost sessions on the way, and the memory with its time."""

    answers: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        half = len(self.memory) // 2
        return max(self.memory[half:]) / max(self.memory[:half])


class Client:
    """Asks the server again and again, over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, found: Found) -> None:
        self._http = http
        self._found = found

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                async with asyncio.timeout(_LONGEST):
                    while (refusal := await self._refusal()) is not None:
                        self._found.retries[refusal] += 1
                        await asyncio.sleep(_PAUSE)
                self._found.answers.append(time.monotonic() - started)
            except TimeoutError:
                self._found.missing.append(f"{type(self).__name__} after {time.monotonic() - started:.0f} s")
            await asyncio.sleep(_PAUSE)

    async def _refusal(self) -> str | None:
        """Ask once; return the reason if there is no answer yet."""
        try:
            return await self._asked()
        except _GONE as e:
            if isinstance(e, TimeoutError):
                raise
            return type(e).__name__

    async def _asked(self) -> str | None:
        body = {"model": GOOD, "messages": [{"role": "user", "content": "How are you?"}]}
        async with self._http.post("/v1/chat/completions", json=body) as response:
            content = await response.json()
        if response.status == 200:
            return None if content["choices"][0]["message"]["content"] else "an empty answer"
        return f"{response.status} {content['error']['code']}"


class Session(Client):
    """Asks over a WebSocket, and resumes the session if it is lost."""

    _id: str | None = None
    _ws: aiohttp.ClientWebSocketResponse | None = None

    async def _asked(self) -> str | None:
        try:
            if self._ws is None or self._ws.closed:
                await self._connect()
            assert self._ws is not None
            await self._ws.send_json({"type": "conversation.item.create", "item": _ITEM})
            await self._ws.send_json({"type": "response.create"})
            response = (await self._next("response.done"))["response"]
        except _GONE:
            self._ws = None
            raise
        return None if response["status"] == "completed" else str(response["status_details"]["error"]["code"])

    async def _connect(self) -> None:
        query = {"model": GOOD} | ({"resume": self._id} if self._id else {})
        self._ws = await self._http.ws_connect("/v1/realtime", params=query, max_msg_size=0)
        self._id = (await self._next("session.created"))["session"]["id"]

    async def _next(self, kind: str) -> Json:
        assert self._ws is not None
        while (event := await self._ws.receive_json())["type"] != kind:
            if event["type"] == "error":
                self._id = None if event["error"]["code"] == "session_not_found" else self._id
                raise ConnectionError(event["error"]["code"])
        return dict(event)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the attack takes (default: 10)")
    parser.add_argument(
        "--growth",
        type=float,
        default=_MOST_GROWTH,
        help="how many times the memory of the first half may be used in the second (default: %(default)s)",
    )
    parser.add_argument("--log", type=Path, default=None, help="keep the server's log in this file")


async def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        log = arguments.log or Path(scratch) / "server.log"
        found, made = await _attacked(Path(scratch), log, arguments.minutes * 60)
        size = log.stat().st_size
    _report(found, made, size)
    if found.missing or found.growth > arguments.growth or size > _MOST_LOG:
        raise Broken(f"{len(found.missing)} answers are missing, memory grew {found.growth:.2f} times, {size:,} of log")


async def _attacked(scratch: Path, log: Path, seconds: float) -> tuple[Found, Json]:
    found = Found()
    async with (
        _servers(scratch, log) as (process, port, directory),
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout()
        ) as http,
    ):
        kinds = (Client, Session)
        clients = [asyncio.create_task(kinds[n % 2](http, found).run()) for n in range(_CLIENTS)]
        command = ("-m", "scripts.benchmarks.attackers", str(port), str(directory))
        attackers = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=PIPE, stdout=PIPE)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(1)
            found.memory.append(memory(process, "VmRSS"))
            if process.returncode is not None:
                raise Broken(f"the server ended with {process.returncode}")
        made, _ = await attackers.communicate(b"")
        await asyncio.sleep(0)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return found, json.loads(made)


@asynccontextmanager
async def _servers(scratch: Path, log: Path) -> AsyncIterator[tuple[Process, int, Path]]:
    """Run a model that answers well, one that floods, and the server."""
    good = await asyncio.start_server(partial(_respond, b'{"content":"Fine."}', 1), "127.0.0.1", 0)
    calls = [{"index": n, "id": str(n), "function": {"name": "look", "arguments": "{}"}} for n in range(4_000)]
    flood = json.dumps({"content": "word " * 100, "tool_calls": calls}).encode()
    bad = await asyncio.start_server(partial(_respond, flood, 200), "127.0.0.1", 0)
    directory = generate(scratch / "characters", 2)
    with (directory / "c00001.py").open("a") as file:
        file.write(_FLOOD.format(bad.sockets[0].getsockname()[1]))
    port, url = free_port(), f"http://127.0.0.1:{good.sockets[0].getsockname()[1]}/v1"
    command = ("-m", "charhost", "serve", "--directory", str(directory), "--port", str(port))
    # What is kept for absent clients grows until the budget is full: sooner, if it is small.
    model = {"CHARHOST_LLM_URL": url, "CHARHOST_LLM_MODEL": "m", "CHARHOST_MEMORY_BUDGET": _BUDGET}
    async with python(*command, port=port, log=log, **model) as process:
        yield process, port, directory
    good.close()
    bad.close()


async def _respond(delta: bytes, times: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request on a connection with a stream of deltas."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")), 0)
            while length > 0:
                length -= len(await reader.read(min(length, MEGABYTE)))
            event = b'data: {"choices":[{"delta":' + delta + b"}]}\n\n"
            end = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
            size = len(event) * times + len(end)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(times):
                writer.write(event)
                await writer.drain()
            writer.write(end)
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.close()


def _report(found: Found, made: dict[str, Any], size: int) -> None:
    half = len(found.memory) // 2
    longest = sorted(found.answers)
    cells = {
        "answers": len(longest),
        "missing": len(found.missing),
        "asked again": found.retries.total(),
        "median, s": f"{longest[len(longest) // 2]:.1f}" if longest else "none",
        "longest, s": f"{longest[-1]:.1f}" if longest else "none",
        "memory, first half, MiB": f"{max(found.memory[:half]) / MEGABYTE:.0f}",
        "second half": f"{max(found.memory[half:]) / MEGABYTE:.0f}",
        "log, KiB": f"{size / 1024:.0f}",
    }
    print_table(list(cells), [list(map(str, cells.values()))])
    print_table(["attack", "times"], [[name, str(times)] for name, times in made.items()])
    print_table(["asked again after", "times"], [[name, str(times)] for name, times in found.retries.items()])
