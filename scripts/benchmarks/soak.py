"""A server under everything that happens to it, for minutes: at the end it has as much as after the first.

Talks, edits, bad files, reloads from two directories, clients that are stuck or vanish, and a flaky model, all at once.
The run fails for an answer made of two versions of a character, for a reload with another outcome than its files call
for, and for memory, descriptors, threads, modules, tasks or builds that have grown.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from charhost.jsontext import Json
from scripts.benchmarks.clients import connect
from scripts.benchmarks.flaky_model import flaky_model
from scripts.benchmarks.measure import print_table
from scripts.benchmarks.servers import Server, serving

_CHARACTERS = 5
_TALKERS = 6  # of each kind
_FIRST = 60.0  # seconds, or half of a shorter run
_CALM = 120.0  # seconds for everything to end
# Above the figures after the first minute, for work that ends late.
_MOST_MORE = {"descriptors": 8, "threads": 4, "modules": 8, "tasks": 8, "builds": 1}
_MEMORY = 12.0  # MiB
_GONE = (aiohttp.ClientError, OSError, TypeError)

_HELPER = 'VERSION = "{version}"\n'
_SOURCE = """from ._version import VERSION

CHARACTER_NAME = "Number {number}"
VOICE_SOURCE = {{"source_type": "file", "path_on_server": "{number}.wav"}}
INSTRUCTIONS = {{"type": "constant", "text": "Be brief."}}


class PromptGenerator:
    def __init__(self, instructions):
        self.instructions = instructions

    def make_system_prompt(self):
        from . import _version

        return f"Be brief. {{VERSION}}+{version}+{{_version.VERSION}}"
"""


class Broken(Exception):
    """The server did what it must not do, or has more than before."""


class Soak:
    """The clients and operators of one server; `seen` counts what they did."""

    def __init__(self, server: Server, home: Path, chance: random.Random) -> None:
        self.seen: Counter[str] = Counter()
        self._server = server
        self._chance = chance
        self._edits = 0
        self.directories = [home / "one", home / "two"]
        for directory in self.directories:
            directory.mkdir(parents=True)
            self._write(directory)

    async def run(self, seconds: float) -> dict[str, float]:
        """Do everything at once for so long; return the figures of the server when all of it has ended."""
        actors: list[Callable[[], Awaitable[None]]] = [self._complete, self._converse] * _TALKERS
        actors += [self._be_stuck, self._vanish] * 2
        tasks = [asyncio.create_task(self._again(actor)) for actor in actors]
        tasks += [asyncio.create_task(self._again(self._operate, directory)) for directory in self.directories]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        return await self._calm()

    async def _again(self, actor: Callable[..., Awaitable[None]], *arguments: Path) -> None:
        while True:
            with suppress(*_GONE):
                await actor(*arguments)
                self.seen[actor.__name__.strip("_")] += 1
            await asyncio.sleep(self._chance.uniform(0, 0.2))

    async def _operate(self, directory: Path) -> None:
        """Edit all files, or break one, and reload."""
        is_bad = self._chance.random() < 0.25
        self._write(directory)
        if is_bad:
            (directory / f"c{self._chance.randrange(_CHARACTERS)}.py").write_text("CHARACTER_NAME = (\n")
        fields = {
            "directory": str(directory),
            "scope": self._chance.choice(("all", "changed")),
            "sessions": self._chance.choice(("close", "close_affected", "follow", "keep")),
            "on_error": "abort",
        }
        async with self._server.client.post("/v1/characters/reload", json=fields) as response:
            report = await response.json()
        if response.status != (422 if is_bad else 200):
            raise Broken(f"a reload of {'bad' if is_bad else 'good'} files was answered with {report}")

    def _write(self, directory: Path) -> None:
        self._edits += 1
        version = f"v{self._edits}"
        (directory / "_version.py").write_text(_HELPER.format(version=version))
        for number in range(_CHARACTERS):
            (directory / f"c{number}.py").write_text(_SOURCE.format(number=number, version=version))

    async def _complete(self) -> None:
        body = {"model": self._name(), "messages": [{"role": "user", "content": "Which version?"}]}
        async with self._server.client.post("/v1/chat/completions", json=body) as response:
            answer = await response.json()
        if response.status == 200:
            self._check(answer["choices"][0]["message"]["content"])

    async def _converse(self) -> None:
        """Talk until the session ends, and then once more in the same session."""
        session = None
        for _ in range(2):
            query = {"dialect": "ga"} | ({"resume": session} if session else {"model": self._name()})
            async with self._server.client.ws_connect("/v1/realtime", params=query) as ws:
                for _ in range(self._chance.randrange(1, 20)):
                    await ws.send_json({"type": "response.create"})
                    async for message in ws:
                        event = message.json()
                        if event["type"] == "session.created":
                            session = event["session"]["id"]
                        elif event["type"] == "response.done":
                            self._check_response(event["response"])
                            break

    async def _be_stuck(self) -> None:
        client = await connect(self._server.port, "/v1/realtime?dialect=ga")
        client.stop_reading()
        for _ in range(20):
            client.send({"type": "response.create"})
        await asyncio.sleep(self._chance.uniform(0, 5))
        client.vanish()

    async def _vanish(self) -> None:
        client = await connect(self._server.port, "/v1/realtime?dialect=ga")
        client.send({"type": "response.create"})
        await asyncio.sleep(self._chance.uniform(0, 0.1))
        client.vanish()

    def _name(self) -> str:
        return f"Number {self._chance.randrange(_CHARACTERS)}"

    def _check_response(self, response: Json) -> None:
        texts = [part["text"] for item in response["output"] for part in item.get("content", ()) if "text" in part]
        self._check(" ".join(texts))

    def _check(self, text: str) -> None:
        """Raise `Broken` unless all words of an answer have one version."""
        versions = set(re.findall(r"v\d+", text))
        if len(versions) > 1:
            raise Broken(f"an answer belongs to the versions {', '.join(sorted(versions))}: {text}")
        self.seen["answers"] += len(versions)

    async def _calm(self) -> dict[str, float]:
        """Load the first directory, and return the figures of the server once they are steady."""
        self._write(self.directories[0])
        await self._server.reload(self.directories[0])
        before: dict[str, float] = {}
        async with asyncio.timeout(_CALM):
            while (found := await self._counts()) != before:
                before = found
                await asyncio.sleep(3)
        return await self._server.probed() | found

    async def _counts(self) -> dict[str, float]:
        probed = await self._server.probed(after_collection=True)
        async with self._server.client.get("/metrics") as response:
            builds = re.search(r"^charhost_builds_alive (\S+)", await response.text(), re.MULTILINE)
        assert builds is not None
        steady = ("descriptors", "threads", "modules", "tasks")
        return {name: probed[name] for name in steady} | {"builds": float(builds[1])}


@asynccontextmanager
async def soaking(home: Path, seed: int | None) -> AsyncIterator[Soak]:
    """Run the server, and yield its soak."""
    chance = random.Random(seed)
    async with flaky_model(chance) as url:
        settings = {"LLM_URL": url, "LLM_MODEL": "m", "RESUME_MAX": "50", "CLOSE_GRACE": "1", "RESUME_TTL": "5"}
        environment = {f"CHARHOST_{name}": value for name, value in settings.items()}
        async with serving("charhost", by_processor=False, **environment) as server:
            soak = Soak(server, home, chance)
            await server.reload(soak.directories[0])
            yield soak


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=20.0, help="how long the run takes (default: 20)")
    parser.add_argument(
        "--memory", type=float, default=_MEMORY, help="MiB that the server may have more (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=None, help="make the same random choices")


async def measure(arguments: argparse.Namespace) -> None:
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory() as home:
        async with soaking(Path(home), arguments.seed) as soak:
            first = min(_FIRST, seconds / 2)
            before = await soak.run(first)
            after = await soak.run(seconds - first)
    print_table(["done", "times"], [[name, str(times)] for name, times in sorted(soak.seen.items())])
    most_more = _MOST_MORE | {"memory": arguments.memory}
    rows = [[name, f"{before[name]:.0f}", f"{after[name]:.0f}"] for name in most_more]
    print_table(["of the server", "after the first minute", "at the end"], rows)
    if grown := [name for name, more in most_more.items() if after[name] > before[name] + more]:
        raise Broken(f"the server has more than before of: {', '.join(grown)}")
