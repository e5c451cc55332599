"""Watched sets side by side: the time from a save to the new text, beside others and alone, and the cost of each."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from scripts.benchmarks.measure import character_source, generate, print_table, spread
from scripts.benchmarks.processes import free_port, python

_CHARACTERS = 50
_SESSIONS = 500
_EDITED = 3
_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class _Cost:
    """The resources of a server process."""

    mib: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> "_Cost":
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        memory = int(status["VmRSS"].split()[0]) / _KIB_PER_MIB
        return cls(memory, int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd")))


async def measure_sets(sets: int, runs: int) -> None:
    """Compare one watched set with *sets* of them, in turns; half of the runs each time."""
    rows, costs = [], dict[int, _Cost]()
    times: dict[int, list[float]] = {1: [], sets: []}
    touched = dict.fromkeys(times, 0)
    for _ in range(2):
        for count in times:
            with tempfile.TemporaryDirectory() as scratch:
                found, received, costs[count] = await _measure(Path(scratch), count, max(1, runs // 2))
            times[count] += found
            touched[count] += received
    for count, found in times.items():
        rows.append([str(count), spread(found), str(touched[count])])
    print_table(["sets of 50", "save to response, ms", "messages to sessions of other characters"], rows)
    one, many = costs[1], costs[sets]
    others = max(1, sets - 1)
    each = [f"{(many.mib - one.mib) / others:.2f}", f"{(many.threads - one.threads) / others:.1f}"]
    each.append(f"{(many.descriptors - one.descriptors) / others:.1f}")
    print_table(["", "MiB", "threads", "descriptors"], [["each further set", *each]])
    ratio = statistics.median(times[sets]) / statistics.median(times[1])
    print(f"{sets} sets take {ratio:.2f} times as long as one.")


async def _measure(scratch: Path, count: int, runs: int) -> tuple[list[float], int, _Cost]:
    folders = [generate(scratch / f"s{number}", _CHARACTERS) for number in range(count)]
    async with _serving(folders) as (url, pid), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.sleep(3)  # let the watchers start, and the files grow older than a tick of the clock
        cost = _Cost.of(pid)
        async with AsyncExitStack() as stack:
            others = [await _session(stack, http, url, number % count, number) for number in range(_SESSIONS)]
            times = [await _save_to_response(http, url, folders[-1], count - 1, run) for run in range(runs)]
            received = sum([await _received(socket) for socket in others])
    return times, received, cost


@asynccontextmanager
async def _serving(folders: Sequence[Path]) -> AsyncIterator[tuple[str, int]]:
    port = free_port()
    sets = [option for folder in folders[1:] for option in ("--set", f"{folder.name}={folder}")]
    command = ("-m", "charhost", "serve", "--watch", "--sessions", "follow", "--directory", str(folders[0]), *sets)
    async with python(*command, "--port", str(port), port=port) as process:
        yield f"http://127.0.0.1:{port}", process.pid


async def _session(
    stack: AsyncExitStack, http: aiohttp.ClientSession, url: str, number: int, place: int
) -> aiohttp.ClientWebSocketResponse:
    """Open a session with a character that is not edited."""
    character = f"Number {_EDITED + 1 + place % (_CHARACTERS - _EDITED - 1):05d}"
    query = {"dialect": "ga", "set": _name(number), "model": character}
    socket = await stack.enter_async_context(http.ws_connect(f"{url}/v1/realtime", params=query))
    await socket.receive_json()
    return socket


async def _received(socket: aiohttp.ClientWebSocketResponse) -> int:
    """Return how many messages arrived before the response to a request for an item that is not there."""
    await socket.send_json({"type": "conversation.item.retrieve", "item_id": "none"})
    count = 0
    while (await socket.receive_json(timeout=30))["type"] != "error":
        count += 1
    return count


async def _save_to_response(http: aiohttp.ClientSession, url: str, folder: Path, number: int, run: int) -> float:
    temporary = folder / ".saving"
    temporary.write_text(character_source(_EDITED, comment=f"edit {run}"))
    started = time.perf_counter()
    os.replace(temporary, folder / f"c{_EDITED:05d}.py")
    path = f"{url}/v1/characters/Number%20{_EDITED:05d}?set={_name(number)}"
    async with asyncio.timeout(30):
        while True:
            async with http.get(path) as response:
                if (await response.json())["comment"] == f"edit {run}":
                    break
            await asyncio.sleep(0.001)
    milliseconds = (time.perf_counter() - started) * 1000
    await asyncio.sleep(0.5)
    return milliseconds


def _name(number: int) -> str:
    return f"s{number}" if number else "default"
