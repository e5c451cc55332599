"""For each door and each answer of a model: the largest that is accepted, its cost, and the refusal of the next larger.

The memory is the most that the server's process had more than before, the median of the runs. The gap is the longest
processor time that the server used while a request for its health waited, the least of the runs. Each row
has a server of its own, with a model that the row scripts.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import aiohttp

from scripts.benchmarks.bound_cases import CASES, Case, Server
from scripts.benchmarks.measure import generate, print_table
from scripts.benchmarks.processes import free_port, memory, python

MEGABYTE = 1 << 20
_REST = 0.5  # seconds
_HEADER = ["door", "quantity", "largest accepted", "memory, MiB", "longest gap, ms", "refused", "with"]


@dataclass(frozen=True)
class Bound:
    """One row: the largest quantity that was accepted and its cost, and the least that was refused."""

    door: str
    quantity: str
    accepted: int | None = None
    megabytes: float = 0.0
    gap: float = 0.0
    refused: int | None = None
    refusal: str = ""

    @property
    def cells(self) -> list[str]:
        accepted, refused = (f"{n:,}" if n is not None else "none" for n in (self.accepted, self.refused))
        return [self.door, self.quantity, accepted, f"{self.megabytes:.0f}", f"{self.gap:.0f}", refused, self.refusal]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(runs=3)
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")
    parser.add_argument("--only", default="", help="only the rows whose door contains this")


async def measure(arguments: argparse.Namespace) -> None:
    bounds = []
    for case in (case for case in CASES if arguments.only in case.door):
        bounds.append(await _bound(case, arguments.runs))
        print("; ".join(bounds[-1].cells), file=sys.stderr, flush=True)  # the whole takes minutes
    if arguments.json:
        print(json.dumps([asdict(bound) for bound in bounds], indent=1))
    else:
        print_table(_HEADER, [bound.cells for bound in bounds])


async def _bound(case: Case, runs: int) -> Bound:
    """Try the sizes of a case in turn, up to the first that is refused, and measure the last that is accepted."""
    found = Bound(case.door, case.quantity)
    for size in case.sizes:
        refusal, _, _ = await _cost(case, size)
        if refusal:
            found = replace(found, refused=size, refusal=refusal)
            break
        found = replace(found, accepted=size)
    if found.accepted is None:
        return found
    refusals, megabytes, gaps = zip(*[await _cost(case, found.accepted) for _ in range(runs)], strict=True)
    if any(refusals):
        raise RuntimeError(f"{case.door}: {found.accepted:,} were accepted once, and then refused: {refusals}")
    return replace(found, megabytes=median(megabytes), gap=min(gaps))


async def _cost(case: Case, size: int) -> tuple[str, float, float]:
    """Return the refusal, empty for none, the megabytes and the milliseconds of one size."""
    async with _served(case, size) as (server, process), _probe(server.port, process.pid) as longest_gap:
        before = memory(process, "VmRSS")
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins anew (proc(5))
        await longest_gap()
        async with asyncio.timeout(120):
            outcome = await case.send(server, size)
        await asyncio.sleep(_REST)  # in which the server does what it left for later
        gap = await longest_gap()
        return outcome, (memory(process, "VmHWM") - before) / MEGABYTE, gap


@asynccontextmanager
async def _served(case: Case, size: int) -> AsyncIterator[tuple[Server, Process]]:
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        directory = generate(Path(scratch), 1)
        model = await asyncio.start_server(case.model(size), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{model.sockets[0].getsockname()[1]}/v1"
        command = ("-m", "charhost", "serve", "--directory", str(directory), "--port", str(port))
        async with (
            python(*command, port=port, environment={"CHARHOST_LLM_URL": url, "CHARHOST_LLM_MODEL": "m"}) as process,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            yield Server(http, port, str(directory)), process
        model.close()


@asynccontextmanager
async def _probe(port: int, process: int) -> AsyncIterator[Callable[[], asyncio.Future[float]]]:
    """Run a probe; yield a function that returns the longest gap since its last call."""
    pipe = asyncio.subprocess.PIPE
    command = ("-m", "scripts.benchmarks.probe", str(port), str(process))
    probe = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe)
    assert probe.stdin is not None
    assert probe.stdout is not None
    stdin, stdout = probe.stdin, probe.stdout

    async def longest_gap() -> float:
        stdin.write(b"\n")
        return float(await stdout.readline())

    try:
        yield lambda: asyncio.ensure_future(longest_gap())
    finally:
        probe.kill()
        await probe.wait()
