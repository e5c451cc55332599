"""A server under all attacks at once, beside good clients: each of their answers must come, and memory stay flat.

The attackers are a process of their own. The run fails for a good client with a failure of any kind or without an
answer in a minute, for memory that grows, and for a log of more than a megabyte.
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

import aiohttp

from scripts.benchmarks.attackers import ATTACKS
from scripts.benchmarks.good_clients import Client, Session, complaints
from scripts.benchmarks.measure import generate, print_table
from scripts.benchmarks.processes import free_port, memory, python

MEGABYTE = 1 << 20
_CLIENTS = 50
_LONGEST = 60.0
_MOST_LOG = MEGABYTE
_BUDGET = str(256 * MEGABYTE)
# For attacks that were not made in the first half of the run; a short one has not made all.
_MOST_GROWTH = 1.25
_FLOOD = 'LLM = {{"url": "http://127.0.0.1:{}/v1", "model": "m"}}\n'
_BLOCKS = "import threading\nPromptGenerator.make_system_prompt = lambda self: threading.Event().wait()\n"


class Broken(Exception):
    """A good client had no answer, memory grew, the log is too long, or an attack was not made."""


@dataclass
class Run:
    """One run: its clients with their records, the memory of the server second by second, and the attacks."""

    clients: list[Client]
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    memory: list[int] = field(default_factory=list)
    attacks: Counter[str] = field(default_factory=Counter)
    log_size: int = 0

    @property
    def growth(self) -> float:
        half = len(self.memory) // 2
        return max(self.memory[half:]) / max(self.memory[:half])

    def complaints(self, most_growth: float) -> list[str]:
        found = list(complaints(self.clients, self.began, self.ended))
        found += [f"the attack was not made: {name}" for name in ATTACKS if not self.attacks[name]]
        if self.growth > most_growth:
            found.append(f"memory grew {self.growth:.2f} times")
        if self.log_size > _MOST_LOG:
            found.append(f"the log has {self.log_size:,} bytes")
        return found


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
        run = await _attacked(Path(scratch), log, arguments.minutes * 60)
        run.log_size = log.stat().st_size
    _report(run)
    if found := run.complaints(arguments.growth):
        raise Broken("\n".join(found))


async def _attacked(scratch: Path, log: Path, seconds: float) -> Run:
    async with (
        _servers(scratch, log) as (process, port, directory),
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout()
        ) as http,
    ):
        run = Run([(Client, Session)[n % 2](http, _LONGEST) for n in range(_CLIENTS)])
        command = ("-m", "scripts.benchmarks.attackers", str(port), str(directory))
        attackers = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=PIPE, stdout=PIPE)
        ending = asyncio.Event()
        tasks = [asyncio.create_task(client.run(ending)) for client in run.clients]
        while time.monotonic() < run.began + seconds:
            await _sample(run, process)
        ending.set()
        until = time.monotonic() + _LONGEST + 10
        while any(not task.done() for task in tasks) and time.monotonic() < until:
            await _sample(run, process)
        run.ended = time.monotonic()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        made, _ = await attackers.communicate(b"")
        if attackers.returncode:
            raise Broken(f"the attackers ended with {attackers.returncode}")
        run.attacks.update(json.loads(made))
    return run


async def _sample(run: Run, process: Process) -> None:
    await asyncio.sleep(1)
    if process.returncode is not None:
        raise Broken(f"the server ended with {process.returncode}")
    run.memory.append(memory(process, "VmRSS"))


@asynccontextmanager
async def _servers(scratch: Path, log: Path) -> AsyncIterator[tuple[Process, int, Path]]:
    """Run a model that answers well, one that floods, and the server."""
    good = await asyncio.start_server(partial(_respond, b'{"content":"Fine."}', 1), "127.0.0.1", 0)
    calls = [{"index": n, "id": str(n), "function": {"name": "look", "arguments": "{}"}} for n in range(4_000)]
    flood = json.dumps({"content": "word " * 100, "tool_calls": calls}).encode()
    bad = await asyncio.start_server(partial(_respond, flood, 200), "127.0.0.1", 0)
    directory = generate(scratch / "characters", 3)
    with (directory / "c00001.py").open("a") as file:
        file.write(_FLOOD.format(bad.sockets[0].getsockname()[1]))
    with (directory / "c00002.py").open("a") as file:
        file.write(_BLOCKS)
    port, url = free_port(), f"http://127.0.0.1:{good.sockets[0].getsockname()[1]}/v1"
    command = ("-m", "charhost", "serve", "--directory", str(directory), "--port", str(port))
    # Sessions and responses of absent clients are kept until the budget is full: sooner, if it is small.
    model = {"CHARHOST_LLM_URL": url, "CHARHOST_LLM_MODEL": "m", "CHARHOST_MEMORY_BUDGET": _BUDGET}
    async with python(*command, port=port, log=log, environment=model) as process:
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


def _report(run: Run) -> None:
    half = len(run.memory) // 2
    times = sorted(answer.came - answer.asked for client in run.clients for answer in client.answers)
    retries = sum((client.retries for client in run.clients), Counter[str]())
    failures = sum((client.failures for client in run.clients), Counter[str]())
    cells = {
        "answers": len(times),
        "failures": failures.total(),
        "asked again": retries.total(),
        "median, s": f"{times[len(times) // 2]:.1f}" if times else "none",
        "longest, s": f"{times[-1]:.1f}" if times else "none",
        "fewest of a client": min(len(client.answers) for client in run.clients),
        "longest without, s": f"{max(client.silence(run.began, run.ended) for client in run.clients):.1f}",
        "memory, first half, MiB": f"{max(run.memory[:half]) / MEGABYTE:.0f}",
        "second half": f"{max(run.memory[half:]) / MEGABYTE:.0f}",
        "log, KiB": f"{run.log_size / 1024:.0f}",
    }
    print_table(list(cells), [list(map(str, cells.values()))])
    length = max(1, len(run.memory) // 10)
    tenths = [f"{max(run.memory[at : at + length]) / MEGABYTE:.0f}" for at in range(0, 10 * length, length)]
    print_table([f"memory, MiB, part {number}" for number in range(1, 11)], [tenths])
    for title, counts in {"attack": run.attacks, "asked again after": retries, "failure": failures}.items():
        print_table([title, "times"], [[name, str(times)] for name, times in counts.most_common()])
