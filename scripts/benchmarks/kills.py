"""Kill a server with --state at random moments, during reloads and conversations, and check that no data is lost.

After each `kill -9` a new server opens the same file. It must have the last fifty acknowledged reloads in its history,
the last fifty acknowledged items of each conversation, and must be able to roll back to an earlier set. At the end all
items of all conversations are checked.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from charhost.jsontext import Json
from scripts.benchmarks.measure import character_source, generate, print_table, spread
from scripts.benchmarks.processes import free_port, python

_CHARACTERS = 5
_CLIENTS = 4
# Number of acknowledged items of a conversation that are checked; a kill may cost the latest ones.
_CHECKED_ITEMS = 50
_MOST_ATTEMPTS = 100
_LOST = ("session_not_found", "item_retrieve_invalid_item_id")
_GONE = (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError)


class Broken(Exception):
    """The server lost acknowledged data, or logged an error."""


class Kills:
    """One state file, the servers that open it one after the other, and the data that they acknowledged.

    `sets` has the comment of each character by generation, `items` those of each session; `found` counts what was
    found again.
    """

    def __init__(self, home: Path, seed: int | None = None) -> None:
        self.reloads: list[Json] = []
        self.sets: dict[int, dict[str, str]] = {}
        self.items: dict[str, list[Json]] = {}
        self.found: Counter[str] = Counter()
        self.starts: list[float] = []
        self._chance = random.Random(seed)
        self._directories = [generate(home / name, _CHARACTERS) for name in ("one", "two")]
        generated = {f"Number {number:05d}": "generated" for number in range(_CHARACTERS)}
        self._comments = {directory: generated.copy() for directory in self._directories}
        self._home = home
        self._edits = 0

    async def round(self, longest: float) -> None:
        """Start the server, check its data, put it under load, and kill it within *longest* seconds."""
        async with self._server() as (process, http):
            sessions = [*self.items, *[None] * _CLIENTS][:_CLIENTS]
            await self._check_history(http)
            busy = [asyncio.create_task(self._reload(http))]
            busy += [asyncio.create_task(self._talk(http, session)) for session in sessions]
            moment = self._chance.uniform(0.02, longest)
            await asyncio.wait(busy, timeout=moment, return_when=asyncio.FIRST_EXCEPTION)
            process.kill()
            await process.wait()
            await asyncio.gather(*busy)

    async def check_all(self) -> None:
        async with self._server() as (_, http):
            await self._check_history(http)
            for session, items in self.items.items():
                async with http.ws_connect("/v1/realtime", params={"resume": session}) as ws:
                    await self._check_items(ws, session, len(items))

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[tuple[Process, aiohttp.ClientSession]]:
        port, log, started = free_port(), self._home / "server.log", time.monotonic()
        options = ("--directory", str(self._directories[0]), "--state", str(self._home / "state.db"), "--resume-set")
        arguments = ("-m", "charhost", "serve", "--port", str(port), *options)
        try:
            async with (
                python(*arguments, port=port, log=log) as process,
                aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
            ):
                self.starts.append((time.monotonic() - started) * 1000)
                yield process, http
        finally:
            text = log.read_text()
            if "Traceback" in text or " ERROR " in text:
                raise Broken(f"the log has an error: {text[-3000:]}")

    async def _check_history(self, http: aiohttp.ClientSession) -> None:
        async with http.get("/v1/characters/reloads", params={"limit": str(_MOST_ATTEMPTS)}) as response:
            history = await response.json()
        acknowledged = self.reloads[-_MOST_ATTEMPTS // 2 :]
        kept = [report for report in reversed(history["reloads"]) if report in acknowledged]
        if kept != acknowledged:
            raise Broken(f"the reloads {acknowledged} were acknowledged, but the history has {history['reloads']}")
        self.found["reloads"] += len(acknowledged)
        await self._check_a_rollback(http, history)

    async def _check_a_rollback(self, http: aiohttp.ClientSession, history: Json) -> None:
        generation = self._chance.choice([one for one in history["generations"] if one in self.sets] or [None])
        if generation is None:  # only at the start
            return
        async with http.post("/v1/characters/rollback", json={"generation": generation}) as response:
            report = await response.json()
        async with http.get("/v1/characters") as response:
            comments = {entry["name"]: entry["comment"] for entry in (await response.json())["characters"]}
        if report.get("outcome") != "applied" or comments != self.sets[generation]:
            raise Broken(f"generation {generation} was {self.sets[generation]}, and is {comments}: {report}")
        self._note(report, comments)
        self.found["rollbacks"] += 1

    def _note(self, report: Json, comments: dict[str, str]) -> None:
        self.reloads.append(report)
        self.sets[report["generation"]] = comments

    def _edit(self, directory: Path) -> None:
        self._edits += 1
        number, comment = self._chance.randrange(_CHARACTERS), f"edit {self._edits}"
        (directory / f"c{number:05d}.py").write_text(character_source(number, comment=comment))
        self._comments[directory][f"Number {number:05d}"] = comment

    async def _reload(self, http: aiohttp.ClientSession) -> None:
        with suppress(*_GONE):
            while True:
                directory = self._chance.choice(self._directories)
                self._edit(directory)
                comments = self._comments[directory].copy()
                fields = {
                    "directory": str(directory),
                    "scope": self._chance.choice(("all", "changed")),
                    "sessions": self._chance.choice(("close", "follow", "keep")),
                }
                async with http.post("/v1/characters/reload", json=fields) as response:
                    self._note(await response.json(), comments)

    async def _talk(self, http: aiohttp.ClientSession, session: str | None) -> None:
        with suppress(*_GONE):
            while True:
                query = {"dialect": "ga"} | ({} if session is None else {"resume": session})
                async with http.ws_connect("/v1/realtime", params=query) as ws:
                    created = await _next(ws, "session.created")
                    if created is None:
                        continue
                    if created["type"] == "error":
                        if self.items.get(session or ""):
                            raise Broken(f"the session {session} is lost: {created}")
                        session = None  # it had no acknowledged items before the kill
                        continue
                    session = created["session"]["id"]
                    await self._check_items(ws, session, _CHECKED_ITEMS)
                    while await self._converse(ws, session):
                        pass

    async def _check_items(self, ws: aiohttp.ClientWebSocketResponse, session: str, most: int) -> None:
        for item in self.items.setdefault(session, [])[-most:]:
            await ws.send_json({"type": "conversation.item.retrieve", "item_id": item["id"]})
            found = await _next(ws, "conversation.item.retrieved")
            if found is None:
                return
            if found.get("item") != item:
                raise Broken(f"the session {session} had {item}, and has {found}")
            self.found["items"] += 1

    async def _converse(self, ws: aiohttp.ClientWebSocketResponse, session: str) -> bool:
        """Send a sentence, and record it with the response once the response is complete."""
        text = f"What do you make of {self._chance.randrange(10**9)}?"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await ws.send_json({"type": "conversation.item.create", "item": item})
        await ws.send_json({"type": "response.create"})
        item_done = await _next(ws, "conversation.item.done")
        done = await _next(ws, "response.done")
        if item_done is None or done is None or done["response"]["status"] != "completed":
            return False
        self.items[session] += [item_done["item"], *done["response"]["output"]]
        self.found["turns"] += 1
        return True


async def _next(ws: aiohttp.ClientWebSocketResponse, kind: str) -> Json | None:
    """Return the next event of that kind or the error that the item or session is lost; None if the session ends."""
    async for message in ws:
        event: Json = json.loads(message.data)
        if event["type"] == kind or (event["type"] == "error" and event["error"]["code"] in _LOST):
            return event
    return None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(runs=100)
    parser.add_argument("--longest", type=float, default=1.0, help="seconds before the latest kill (default: 1.0)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the same random moments")


async def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as home:
        kills = Kills(Path(home), arguments.seed)
        for _ in range(arguments.runs):
            await kills.round(arguments.longest)
        await kills.check_all()
        size = sum(file.stat().st_size for file in Path(home).glob("state.db*")) / 1024
    found = kills.found
    cells = {
        "kills": arguments.runs,
        "turns": found["turns"],
        "reloads": len(kills.reloads),
        "rollbacks": found["rollbacks"],
        "items found": found["items"],
        "reloads found": found["reloads"],
        "start, ms": spread(kills.starts),
        "file, KiB": f"{size:.0f}",
    }
    print_table(list(cells), [list(map(str, cells.values()))])
