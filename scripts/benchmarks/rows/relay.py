"""The rows of relayed words: charhost beside a bare relay of the same model."""

import argparse
import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import aiohttp

from scripts.benchmarks.beside import litellm_proxy
from scripts.benchmarks.measure import generate
from scripts.benchmarks.processes import free_port, processor_clock, python
from scripts.benchmarks.relay_clients import CHARACTER, Response, ask, first_word, words_per_second
from scripts.benchmarks.row import Goal, Rows

# Words, and seconds between them.
_FLAT_OUT, _PACED = ("10000", "0"), ("40", "0.005")
# Of charhost, and those of them that the others have as well: where the bare relay has no such, it is one of OpenAI's.
INTERFACES = ("chat completions", "realtime", "realtime, beta", "unmute")
_OF_BARE_RELAY = INTERFACES[:2]
_OF_LITELLM = INTERFACES[:1]


class Relays(NamedTuple):
    """Relays that are measured when they are given: another charhost, and the interpreter that has LiteLLM's proxy."""

    beside: Path | None = None
    litellm: Path | None = None


class _Server(NamedTuple):
    url: str
    process: Process

    @property
    def processor_seconds(self) -> float:
        return time.clock_gettime(processor_clock(self.process.pid))


def add_relays(parser: argparse.ArgumentParser) -> None:
    """Add the options that give relays to compare with."""
    parser.add_argument(
        "--beside", type=Path, metavar="CHECKOUT", help="another checkout of charhost, with its .venv, to compare with"
    )
    parser.add_argument(
        "--litellm",
        type=Path,
        nargs="?",
        const=litellm_proxy.DEFAULT,
        metavar="PYTHON",
        help="compare relays with LiteLLM's proxy, of PYTHON or of an environment that is made below .venv",
    )


def relays_of(arguments: argparse.Namespace) -> Relays:
    """Return the relays that were given; installs LiteLLM where it is to be."""
    beside = arguments.beside and arguments.beside.resolve(strict=True)
    return Relays(beside, arguments.litellm and litellm_proxy.installed(arguments.litellm))


async def add_relay_rows(
    rows: Rows, counts: Sequence[int], others: Relays, interfaces: Iterable[str] = _OF_BARE_RELAY
) -> None:
    """Add a run with so many conversations at once, also with *others*."""
    async with _client() as client, _servers(_FLAT_OUT, others) as (_, relays):
        for interface in interfaces:
            for of, server in _having(interface, relays).items():
                await _add_words(rows, client, interface, of, server)
    async with _client() as client, _servers(_PACED, others) as (model, relays):
        for interface in interfaces:
            for count in counts:
                await _add_first_words(rows, client, interface, count, model, _having(interface, relays))


def _having(interface: str, relays: dict[str, _Server]) -> dict[str, _Server]:
    return {of: server for of, server in relays.items() if of != "litellm" or interface in _OF_LITELLM}


async def _add_words(rows: Rows, client: aiohttp.ClientSession, interface: str, of: str, server: _Server) -> None:
    if of != "litellm":  # for which so many words take long
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
        began = server.processor_seconds
        added = first_word(await _asked(client, server.url, interface, of, count)) - direct
        used = (server.processor_seconds - began) / count
        rows.add(f"added to the first word, {interface}, {count} at once, ms", goal, of, max(added, 0.01))
        name = f"processor time of a conversation of 40 words, {interface}, {count} at once, ms"
        rows.add(name, Goal(1.3, "bare relay"), of, used * 1000)


async def _asked(
    client: aiohttp.ClientSession, url: str, interface: str, of: str, count: int = 1
) -> Sequence[Response]:
    if of == "bare relay" and interface not in _OF_BARE_RELAY:
        interface = "realtime"
    return await asyncio.gather(*(ask(client, url, interface) for _ in range(count)))


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


@asynccontextmanager
async def _servers(pace: tuple[str, str], others: Relays) -> AsyncIterator[tuple[_Server, dict[str, _Server]]]:
    """Run a model, and the relays in front of it."""
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        directory = generate(scratch / "characters", 1)
        model = await _start(stack, free_port(), "scripts.benchmarks.streaming", "{port}", *pace)
        relays = {
            "bare relay": await _start(stack, free_port(), "scripts.benchmarks.beside.bare_relay", "{port}", model.url)
        }
        options = ("--directory", str(directory), "--llm-url", model.url, "--llm-model", "m")
        serve = ("charhost", "serve", "--port", "{port}", "--llm-concurrency", "1000", *options)
        relays["charhost"] = await _start(stack, free_port(), *serve)
        if others.beside is not None:
            relays["beside"] = await _start(stack, free_port(), *serve, checkout=others.beside)
        if others.litellm is not None:
            port = free_port()
            process = litellm_proxy.running(others.litellm, port, scratch, CHARACTER, model.url)
            relays["litellm"] = _Server(_url(port), await stack.enter_async_context(process))
        yield model, relays


async def _start(stack: AsyncExitStack, port: int, *arguments: str, checkout: Path | None = None) -> _Server:
    filled = (argument.replace("{port}", str(port)) for argument in arguments)
    process = await stack.enter_async_context(python("-m", *filled, port=port, checkout=checkout))
    return _Server(_url(port), process)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"
