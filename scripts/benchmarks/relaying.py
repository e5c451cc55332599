"""The rows of relayed words: charhost beside a bare relay of the same model."""

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import aiohttp

from scripts.benchmarks.measure import generate
from scripts.benchmarks.processes import free_port, processor_clock, python
from scripts.benchmarks.relay_clients import Response, ask, first_word, words_per_second
from scripts.benchmarks.row import Goal, Rows

# Words, and seconds between them.
_FLAT_OUT, _PACED = ("10000", "0"), ("40", "0.005")
# Of charhost, and those of them that the bare relay has as well: where it has no such, it is one of OpenAI's.
INTERFACES = ("chat completions", "realtime", "realtime, beta", "unmute")
_OF_BARE_RELAY = INTERFACES[:2]


class _Server(NamedTuple):
    url: str
    process: Process

    @property
    def processor_seconds(self) -> float:
        return time.clock_gettime(processor_clock(self.process.pid))


async def add_relay_rows(
    rows: Rows, counts: Sequence[int], interfaces: Iterable[str] = _OF_BARE_RELAY, beside: Path | None = None
) -> None:
    """Add a run with so many conversations at once, also with the charhost of the checkout *beside*."""
    async with _client() as client, _servers(_FLAT_OUT, beside) as (_, relays):
        for interface in interfaces:
            for of, server in relays.items():
                await _add_words(rows, client, interface, of, server)
    async with _client() as client, _servers(_PACED, beside) as (model, relays):
        for interface in interfaces:
            for count in counts:
                await _add_first_words(rows, client, interface, count, model, relays)


async def _add_words(rows: Rows, client: aiohttp.ClientSession, interface: str, of: str, server: _Server) -> None:
    await _asked(client, server.url, interface, of)  # a warm-up
    began = server.processor_seconds
    responses = await _asked(client, server.url, interface, of)
    used = (server.processor_seconds - began) / responses[0].words
    rows.add(f"words a second, {interface}", Goal(0.7, "bare relay", True), of, words_per_second(responses))
    rows.add(f"processor time of a word, {interface}, µs", Goal(1 / 0.7, "bare relay"), of, used * 1e6)


async def _add_first_words(
    rows: Rows, client: aiohttp.ClientSession, interface: str, count: int, model: _Server, relays: dict[str, _Server]
) -> None:
    goal = Goal(1) if count == 1 else Goal(1.3, "bare relay")
    await _asked(client, model.url, "directly", "model", count)
    direct = first_word(await _asked(client, model.url, "directly", "model", count))
    for of, server in relays.items():
        await _asked(client, server.url, interface, of, count)
        added = first_word(await _asked(client, server.url, interface, of, count)) - direct
        rows.add(f"added to the first word, {interface}, {count} at once, ms", goal, of, max(added, 0.01))


async def _asked(
    client: aiohttp.ClientSession, url: str, interface: str, of: str, count: int = 1
) -> Sequence[Response]:
    if of == "bare relay" and interface not in _OF_BARE_RELAY:
        interface = "realtime"
    return await asyncio.gather(*(ask(client, url, interface) for _ in range(count)))


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


@asynccontextmanager
async def _servers(pace: tuple[str, str], beside: Path | None) -> AsyncIterator[tuple[_Server, dict[str, _Server]]]:
    """Run a model, and charhost and a bare relay in front of it."""
    async with AsyncExitStack() as stack:
        directory = generate(Path(stack.enter_context(TemporaryDirectory())), 1)
        model = await _start(stack, free_port(), "scripts.benchmarks.streaming", "{port}", *pace)
        relays = {"bare relay": await _start(stack, free_port(), "scripts.benchmarks.bare_relay", "{port}", model.url)}
        options = ("--directory", str(directory), "--llm-url", model.url, "--llm-model", "m")
        serve = ("charhost", "serve", "--port", "{port}", "--llm-concurrency", "1000", *options)
        relays["charhost"] = await _start(stack, free_port(), *serve)
        if beside is not None:
            relays["beside"] = await _start(stack, free_port(), *serve, checkout=beside)
        yield model, relays


async def _start(stack: AsyncExitStack, port: int, *arguments: str, checkout: Path | None = None) -> _Server:
    running = python(
        "-m",
        *(argument.replace("{port}", str(port)) for argument in arguments),
        port=port,
        interpreter=str(checkout / ".venv/bin/python") if checkout else None,
        folder=str(checkout) if checkout else None,
    )
    return _Server(f"http://127.0.0.1:{port}/v1", await stack.enter_async_context(running))
