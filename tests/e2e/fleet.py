"""Nodes of a fleet as processes, on a real nats-server, and clients that talk to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from charhost.fleet.options import FleetOptions
from charhost.fleet.setup import begin
from tests.conftest import character
from tests.e2e.conftest import PATIENCE, Server, running
from tests.fleet.engines import connect as connect_to_engine

KEY = "the key of a fleet of processes"


async def prepare(url: str, fleet: str) -> None:
    """Make what `charhost fleet setup` makes."""
    engine = await connect_to_engine([url], fleet)
    await begin(engine, FleetOptions(fleet=fleet, node="setup", key=KEY), 1)
    await engine.close()


@asynccontextmanager
async def node(home: Path, url: str, fleet: str, name: str) -> AsyncIterator[Server]:
    """Run a node, on a directory of its own with Ada."""
    directory = home / name / "characters"
    directory.mkdir(parents=True)
    (directory / "ada.py").write_text(character("Ada"))
    before = ("env", f"CHARHOST_FLEET_KEY={KEY}")
    options = ("--fleet", url, "--fleet-name", fleet, "--fleet-node", name, "--no-watch")
    async with running(directory, *options, before=before) as server:
        yield server


@dataclass
class Talker:
    """A client, and the ids of the items that it knows to be kept: those before a `response.done`."""

    socket: ClientConnection
    id: str = ""
    kept: list[str] = field(default_factory=list)

    async def say(self, text: str) -> Any:
        """Say something, and return the response."""
        item_id = f"item_{uuid4().hex[:24]}"
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)
        await self.send("response.create")
        response = (await self.until("response.done"))["response"]
        self.kept += [item_id, *(found["id"] for found in response["output"])]
        return response

    async def missing(self, kept: list[str]) -> list[str]:
        """Return the items that the server does not have."""
        missing = []
        for item_id in kept:
            await self.send("conversation.item.retrieve", item_id=item_id)
            event = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))
            if event["type"] != "conversation.item.retrieved":
                missing.append(item_id)
        return missing

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> Any:
        """Return the next event of that type."""
        async with asyncio.timeout(PATIENCE):
            while (event := json.loads(await self.socket.recv()))["type"] != kind:
                assert event["type"] != "error", event
        return event

    async def rest(self) -> tuple[list[Any], int]:
        """Return all that is still sent, and the close code."""
        events = []
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    events.append(json.loads(await self.socket.recv()))
        except ConnectionClosed as e:
            return events, e.rcvd.code if e.rcvd is not None else 1006


@asynccontextmanager
async def talking(server: Server, resume: str | None = None) -> AsyncIterator[Talker]:
    """Connect a client, which may resume a session."""
    query = f"?dialect=ga&resume={resume}" if resume is not None else "?dialect=ga"
    url = server.url.replace("http", "ws", 1) + f"/v1/realtime{query}"
    async with connect(url, proxy=None, close_timeout=1) as socket:
        talker = Talker(socket)
        created = await talker.until("session.created")
        talker.id = created["session"]["id"]
        yield talker
