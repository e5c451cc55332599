"""A client of a fleet that goes on at another node whenever its own is gone."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import aiohttp

from charhost.resume.archive import SAVE_DEADLINE
from scripts.benchmarks.fleet.nodes import Node
from scripts.benchmarks.fleet.talking import message
from scripts.benchmarks.fleet.witness import Broken, Witness

_GONE = (aiohttp.ClientError, ConnectionError, TimeoutError)
# Turns of one conversation, and items that are looked for after each return.
_TURNS = 40
_CHECKED = 8
# Seconds.
_CONNECT = 20.0
_TURN = 60.0
_RETURN = 120.0
_NOT_FOUND = "item_retrieve_invalid_item_id"
# A response that comes earlier was not sent because its time was over: it is kept.
_IN_TIME = SAVE_DEADLINE - 0.1


class Talker:
    """One client; `kept` has the ids of the items of its conversation that were acknowledged by a `response.done`."""

    def __init__(self, witness: Witness, chance: random.Random) -> None:
        self._witness = witness
        self._chance = chance
        self._session: str | None = None
        self._is_late = False
        self._leaves = asyncio.Event()
        self._has_returned = asyncio.Event()
        self.kept: list[str] = []

    async def run(self) -> None:
        """Talk until cancelled; raises `Broken`."""
        while True:
            try:
                await self._talk()
                if len(self.kept) >= 2 * _TURNS:
                    await self.check_all()
                    self._session, self.kept = None, []
            except _GONE:
                self._witness.counts["connections lost"] += 1
                await asyncio.sleep(self._chance.uniform(0.05, 0.3))

    async def returned(self) -> None:
        """Leave, and wait until the conversation has gone on, at another node perhaps, and nothing of it is missing."""
        self._has_returned.clear()
        self._leaves.set()
        async with asyncio.timeout(_RETURN):
            await self._has_returned.wait()

    async def check_all(self) -> None:
        """Look for all that was acknowledged, at any node."""
        async with asyncio.timeout(_TURN):
            while True:
                with suppress(aiohttp.ClientError, ConnectionError):
                    if await self._has_all():
                        return

    async def _has_all(self) -> bool:
        socket = await self._connect()
        try:
            is_there = await self._created(socket)
            if is_there:
                await self._check(socket, self.kept)
            return is_there
        finally:
            await socket.close(code=1001)

    async def _talk(self) -> None:
        self._leaves.clear()
        async with asyncio.timeout(_CONNECT):
            socket = await self._connect()
        try:
            async with asyncio.timeout(_TURN):
                if not await self._created(socket):
                    return
                await self._check(socket, self.kept[-_CHECKED:])
            if not self._leaves.is_set():
                self._has_returned.set()
            while len(self.kept) < 2 * _TURNS and not await self._is_to_leave():
                async with asyncio.timeout(_TURN):
                    await self._turn(socket)
        finally:
            # 1000 would end the conversation.
            await socket.close(code=1001)

    async def _is_to_leave(self) -> bool:
        """Return whether to leave; it waits for a moment before the next turn."""
        try:
            async with asyncio.timeout(self._chance.uniform(0.3, 1.5)):
                return await self._leaves.wait()
        except TimeoutError:
            return False

    def _connect(self) -> Any:
        node: Node = self._chance.choice(self._witness.made.all)
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
        self._session, self._is_late = event["session"]["id"], False
        return True

    async def _check(self, socket: aiohttp.ClientWebSocketResponse, kept: list[str]) -> None:
        for item_id in kept:
            await socket.send_json({"type": "conversation.item.retrieve", "item_id": item_id})
            event = await _event(socket, "conversation.item.retrieved")
            if event["type"] == "error" and event["error"]["code"] == _NOT_FOUND:
                raise Broken(f"the session {self._session} has lost {item_id}: {event}")
            _raise_error(event)
            self._witness.counts["items found"] += 1

    async def _turn(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Say something, and note all items of the turn when its response is done."""
        item_id, began = f"item_{uuid4().hex[:24]}", time.monotonic()
        await socket.send_json({"type": "conversation.item.create", "item": {"id": item_id, **message("Go on.")}})
        await socket.send_json({"type": "response.create"})
        event = await _event(socket, "response.done")
        _raise_error(event)
        self._is_late |= time.monotonic() - began >= _IN_TIME
        self._witness.counts["turns without the engine" if self._is_late else "turns"] += 1
        if not self._is_late:
            self.kept += [item_id, *(item["id"] for item in event["response"]["output"])]


async def _event(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """Return the next event of that type, or an error; raises `ConnectionError` if the session ends."""
    async for frame in socket:
        event = json.loads(frame.data)
        if event["type"] in (kind, "error"):
            return event
    raise ConnectionError("the session has ended")


def _raise_error(event: Any) -> None:
    if event["type"] == "error":
        raise ConnectionError(event["error"]["code"])
