"""A client of a fleet that goes on at another node whenever its own is gone."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from uuid import uuid4

import aiohttp

from scripts.benchmarks.fleet.nodes import Node
from scripts.benchmarks.fleet.talking import message
from scripts.benchmarks.fleet.witness import Broken, Witness

_GONE = (aiohttp.ClientError, ConnectionError, TimeoutError)
# Turns of one conversation, and items that are looked for after each return.
_TURNS = 40
_CHECKED = 8
_CONNECT = 20.0
_TURN = 60.0
_NOT_FOUND = "item_retrieve_invalid_item_id"


class Talker:
    """One client; `kept` has the ids of the items of its conversation that it knows to be kept."""

    def __init__(self, witness: Witness, chance: random.Random) -> None:
        self._witness = witness
        self._chance = chance
        self._session: str | None = None
        self.kept: list[str] = []

    async def run(self) -> None:
        """Talk until cancelled; raises `Broken`."""
        while True:
            node = self._chance.choice(self._witness.made.all)
            try:
                await self._talk(node)
            except _GONE:
                self._witness.counts["connections lost"] += 1
                await asyncio.sleep(self._chance.uniform(0.05, 0.3))

    async def check_all(self) -> None:
        """Look for all that was acknowledged."""
        async with asyncio.timeout(_TURN):
            while True:
                node = self._chance.choice(self._witness.made.all)
                socket = await self._connect(node)
                try:
                    if await self._created(socket):
                        return await self._check(node, socket, self.kept)
                finally:
                    await socket.close()

    async def _talk(self, node: Node) -> None:
        async with asyncio.timeout(_CONNECT):
            socket = await self._connect(node)
        try:
            async with asyncio.timeout(_TURN):
                if not await self._created(socket):
                    return
                await self._check(node, socket, self.kept[-_CHECKED:])
            while True:
                await asyncio.sleep(self._chance.uniform(0.3, 1.5))
                if len(self.kept) >= 2 * _TURNS:
                    async with asyncio.timeout(_TURN):
                        await self._check(node, socket, self.kept)
                    self._session, self.kept = None, []
                    return
                async with asyncio.timeout(_TURN):
                    await self._turn(node, socket)
        finally:
            # 1000 would end the conversation.
            await socket.close(code=1001)

    def _connect(self, node: Node) -> Any:
        return node.connect(**({"resume": self._session} if self._session is not None else {}))

    async def _created(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Return whether the session begins or goes on."""
        event = await _event(socket, "session.created")
        if event["type"] == "error":
            code = event["error"]["code"]
            self._witness.counts[f"refused: {code}"] += 1
            if code == "session_not_found" and self.kept:
                raise Broken(f"the session {self._session} is gone with {len(self.kept)} items: {event}")
            self._session = None if code == "session_not_found" else self._session
            await asyncio.sleep(0.2)
            return False
        if self._session is not None:
            self._witness.counts["resumed"] += 1
        self._session = event["session"]["id"]
        return True

    async def _check(self, node: Node, socket: aiohttp.ClientWebSocketResponse, kept: list[str]) -> None:
        for item_id in kept:
            await socket.send_json({"type": "conversation.item.retrieve", "item_id": item_id})
            event = await _event(socket, "conversation.item.retrieved")
            if event["type"] == "error" and event["error"]["code"] == _NOT_FOUND:
                if self._witness.is_out(node):
                    # It went on with its own copy, which may be old: its next write is refused.
                    self._witness.counts["old copies while the engine was away"] += 1
                    raise ConnectionError
                raise Broken(f"the session {self._session} has lost {item_id}: {event}")
            self._witness.counts["items found"] += 1

    async def _turn(self, node: Node, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Say something, and note what is kept once the response is done."""
        item_id = f"item_{uuid4().hex[:24]}"
        await socket.send_json({"type": "conversation.item.create", "item": {"id": item_id, **message("Go on.")}})
        await socket.send_json({"type": "response.create"})
        event = await _event(socket, "response.done")
        if (
            event["type"] == "response.done"
            and event["response"]["status"] == "completed"
            and self._witness.keeps(node)
        ):
            self.kept += [item_id, *(item["id"] for item in event["response"]["output"])]


async def _event(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """Return the next event of that type, or an error; raises `ConnectionError` if the session ends."""
    async for frame in socket:
        event = json.loads(frame.data)
        if event["type"] in (kind, "error"):
            return event
    raise ConnectionError("the session has ended")
