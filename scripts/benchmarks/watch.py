"""Time from saving a file to the first response with its new text, compared with `uvicorn --reload`.

Both serve the same directory, one after the other; each save replaces one file by `os.replace`.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from scripts.benchmarks.measure import character_source, generate, print_table, spread
from scripts.benchmarks.processes import free_port, python
from scripts.benchmarks.watched_sets import measure_sets

_EDITED = 3
# The commands, to which the directory and the port are appended.
_SERVERS = {
    "charhost --watch": ("charhost", "serve", "--watch", "--directory"),
    "uvicorn --reload": ("uvicorn", "scripts.benchmarks.beside.importing:application", "--reload", "--reload-dir"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", default="10,1000", help="numbers of characters (default: 10,1000)")
    parser.add_argument("--sets", type=int, help="compare so many watched sets of 50 characters with a single one")
    parser.add_argument("--bursts", type=int, default=8, help="bursts of ten saves, 7 ms apart (default: 8)")


async def measure(arguments: argparse.Namespace) -> None:
    if arguments.sets is not None:
        await measure_sets(arguments.sets, arguments.runs)
        return
    rows = []
    for count in map(int, arguments.counts.split(",")):
        for name, command in _SERVERS.items():
            with tempfile.TemporaryDirectory() as scratch:
                directory = generate(Path(scratch), count)
                async with _serving(command, directory) as url:
                    times = [await _save_to_response(url, directory, run) for run in range(arguments.runs)]
                    stale = sum([await _burst_is_stale(url, directory, burst) for burst in range(arguments.bursts)])
            rows.append([str(count), name, spread(times), f"{stale} of {arguments.bursts}"])
    print_table(["characters", "server", "save to response, ms", "bursts that ended on stale code"], rows)


@asynccontextmanager
async def _serving(command: Sequence[str], directory: Path) -> AsyncIterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/characters/Number%20{_EDITED:05d}"
    arguments = ("-m", *command, str(directory), "--port", str(port))
    async with python(*arguments, port=port, environment={"BENCH_DIRECTORY": str(directory)}):
        await _until(url, "generated")
        # Let the server's watcher start, and the files grow older than a tick of the file system's clock.
        await asyncio.sleep(3)
        yield url


async def _save_to_response(url: str, directory: Path, run: int) -> float:
    started = _save(directory, f"edit {run}")
    await _until(url, f"edit {run}")
    milliseconds = (time.perf_counter() - started) * 1000
    await asyncio.sleep(0.5)
    return milliseconds


async def _burst_is_stale(url: str, directory: Path, burst: int) -> bool:
    for save in range(10):
        _save(directory, f"burst {burst}, {save}")
        await asyncio.sleep(0.007)
    try:
        await asyncio.wait_for(_until(url, f"burst {burst}, 9"), 5)
    except TimeoutError:
        return True
    return False


def _save(directory: Path, comment: str) -> float:
    temporary = directory / ".saving"
    temporary.write_text(character_source(_EDITED, comment=comment))
    started = time.perf_counter()
    os.replace(temporary, directory / f"c{_EDITED:05d}.py")
    return started


async def _until(url: str, comment: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, KeyError):  # uvicorn restarts its process
                async with client.get(url) as response:
                    if (await response.json())["comment"] == comment:
                        return
            await asyncio.sleep(0.001)
