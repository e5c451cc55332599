"""The nodes of a fleet as processes, each with a proxy between it and the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from scripts.benchmarks.fleet.nats_server import NatsServer
from scripts.benchmarks.fleet.proxy import Proxy
from scripts.benchmarks.processes import free_port, python

KEY = "the key of a measured fleet"
# Seconds.
_LOOK = 10.0


@dataclass(eq=False)
class Node:
    """One server: its process while that runs, and its line to the engine."""

    name: str
    url: str
    log: Path
    arguments: tuple[str, ...]
    environment: dict[str, str]
    http: aiohttp.ClientSession
    proxy: Proxy | None = None
    process: Process | None = None
    # Where it lists its tasks, if it is probed.
    probe: int = 0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, *options: str) -> None:
        """Start the process, and return when it listens."""
        port = int(self.url.rpartition(":")[2])
        module = ("scripts.benchmarks.fleet.probed", str(self.probe)) if self.probe else ("charhost",)
        command = ("-m", *module, "serve", "--port", str(port), *self.arguments, *options)
        running = python(*command, port=port, log=self.log, environment=self.environment)
        self.process = await self._stack.enter_async_context(running)

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal that ends the process, and wait for its end."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
            # One that is paused does not end.
            self.process.send_signal(signal.SIGCONT)
        await self._stack.aclose()
        self.process = None

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if self.process.returncode is None:
                self.process.send_signal(signal.SIGCONT)

    @property
    def line(self) -> Proxy:
        assert self.proxy is not None
        return self.proxy

    async def get(self, path: str) -> Any:
        async with self.http.get(f"{self.url}{path}") as response:
            return await response.json()

    async def reload(self, **fields: Any) -> tuple[int, Any]:
        """Return the status and the report of a reload."""
        async with self.http.post(f"{self.url}/v1/characters/reload", json=fields) as response:
            return response.status, await response.json()

    async def served(self) -> tuple[int, str]:
        """Return the generation and the revision that it serves."""
        found = await self.get("/v1/characters")
        return found["generation"], found["revision"]

    async def looked(self) -> tuple[int, str] | None:
        """Return what it serves, None if it does not respond."""
        try:
            async with asyncio.timeout(_LOOK):
                return await self.served()
        except (aiohttp.ClientError, TimeoutError):
            return None

    def connect(self, **query: str) -> Any:
        """Return a client of the default character."""
        return self.http.ws_connect(f"{self.url}/v1/realtime", params={"dialect": "ga", **query})


@dataclass
class Nodes:
    """Servers on one engine; `lone` is one without a fleet. All have the same directory."""

    home: Path
    directory: Path
    http: aiohttp.ClientSession
    environment: dict[str, str] = field(default_factory=dict)
    engines: list[NatsServer] = field(default_factory=list)
    named: dict[str, Node] = field(default_factory=dict)
    lone: Node | None = None

    @property
    def all(self) -> list[Node]:
        return list(self.named.values())

    @property
    def up(self) -> list[Node]:
        return [node for node in self.all if node.process is not None]

    async def set_up(self, replicas: int = 1) -> None:
        """Run `charhost fleet setup`."""
        servers = ",".join(engine.url for engine in self.engines)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "charhost", "fleet", "setup", servers, "--replicas", str(replicas)),
            env=os.environ | {"CHARHOST_FLEET_KEY": KEY},
            stdout=DEVNULL,
        )
        if await process.wait() != 0:
            raise ChildProcessError("charhost fleet setup fails")

    async def add(self, name: str, *options: str, has_proxy: bool = False, is_probed: bool = False) -> Node:
        """Make and start a node, the line of which to its engine goes over a proxy where one is to be cut."""
        proxy = Proxy(self.engines[0].port) if has_proxy else None
        if proxy is not None:
            await proxy.start()
        servers = proxy.url if proxy is not None else ",".join(engine.url for engine in self.engines)
        node = self._node(name, ("--fleet", servers, "--fleet-node", name, *options), {"CHARHOST_FLEET_KEY": KEY})
        node.proxy, node.probe = proxy, free_port() if is_probed else 0
        self.named[name] = node
        await node.start()
        return node

    async def add_lone(self) -> Node:
        """Make and start a server without a fleet."""
        node = self.lone = self._node("lone", (), {})
        await node.start()
        return node

    async def equal(self, seconds: float = 60) -> None:
        """Wait until all nodes that are up serve the same."""
        async with asyncio.timeout(seconds):
            while len(set(await asyncio.gather(*(node.served() for node in self.up)))) > 1:
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        for node in [*self.all, *([self.lone] if self.lone is not None else [])]:
            if node.process is not None:
                await node.stop(signal.SIGKILL)
            if node.proxy is not None:
                await node.proxy.close()
        for engine in self.engines:
            engine.go_on()
            engine.kill()

    def _node(self, name: str, options: tuple[str, ...], environment: dict[str, str]) -> Node:
        arguments = ("--directory", str(self.directory), *options)
        url, log = f"http://127.0.0.1:{free_port()}", self.home / f"{name}.log"
        return Node(name, url, log, arguments, self.environment | environment, self.http)


@asynccontextmanager
async def nodes(
    home: Path, directory: Path, engines: list[NatsServer] | None = None, **environment: str
) -> AsyncIterator[Nodes]:
    """Have an engine that was set up, on which nodes can be added."""
    home.mkdir(parents=True, exist_ok=True)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        made = Nodes(home, directory, http, environment)
        made.engines = engines or [NatsServer(home / "nats", syncs=True)]
        try:
            await made.set_up(len(made.engines))
            yield made
        finally:
            await made.close()
