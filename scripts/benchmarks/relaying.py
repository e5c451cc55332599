"""The rows of relayed words: charhost beside a bare relay of the same model."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from scripts.benchmarks.measure import generate
from scripts.benchmarks.processes import free_port, python
from scripts.benchmarks.relay import FLAT_OUT, PACED, Response, ask, first_word, words_per_second
from scripts.benchmarks.row import Goal, Rows

_INTERFACES = {"chat": "chat completions", "realtime": "realtime"}


async def add_relay_rows(rows: Rows, many: int) -> None:
    async with _servers(FLAT_OUT) as servers, aiohttp.ClientSession() as client:
        for name, interface in _INTERFACES.items():
            goal = Goal(0.7, "bare relay", is_least=True)
            for of, url in servers.items():
                if of != "model":
                    await _asked(client, url, interface, 1)  # a warm-up
                    speed = words_per_second(await _asked(client, url, interface, 1))
                    rows.add(f"words a second, {name}", goal, of, speed)
    connector = aiohttp.TCPConnector(limit=0)
    async with _servers(PACED) as servers, aiohttp.ClientSession(connector=connector) as client:
        for name, interface in _INTERFACES.items():
            for count, goal in ((1, Goal(1)), (many, Goal(1.3, "bare relay"))):
                await _asked(client, servers["model"], "directly", count)
                direct = first_word(await _asked(client, servers["model"], "directly", count))
                for of in ("charhost", "bare relay"):
                    await _asked(client, servers[of], interface, count)
                    added = first_word(await _asked(client, servers[of], interface, count)) - direct
                    rows.add(f"added to the first word, {name}, {count} at once, ms", goal, of, max(added, 0.01))


async def _asked(client: aiohttp.ClientSession, url: str, interface: str, count: int) -> Sequence[Response]:
    return await asyncio.gather(*(ask(client, url, interface) for _ in range(count)))


@asynccontextmanager
async def _servers(pace: tuple[str, str]) -> AsyncIterator[dict[str, str]]:
    """Run a model, and charhost and a bare relay in front of it; yield their URLs."""
    model, bare, port = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{model}/v1"
    with TemporaryDirectory() as scratch:
        options = ("--directory", str(generate(Path(scratch), 1)), "--port", str(port), "--llm-concurrency", "1000")
        async with (
            python("-m", "scripts.benchmarks.streaming", str(model), *pace, port=model),
            python("-m", "scripts.benchmarks.bare_relay", str(bare), url, port=bare),
            python("-m", "charhost", "serve", *options, port=port, CHARHOST_LLM_URL=url, CHARHOST_LLM_MODEL="m"),
        ):
            own, relay = f"http://127.0.0.1:{port}/v1", f"http://127.0.0.1:{bare}/v1"
            yield {"model": url, "charhost": own, "bare relay": relay}
