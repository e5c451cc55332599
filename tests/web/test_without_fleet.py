"""A server without a fleet costs nothing of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from charhost.reload.manager import CharacterManager
from charhost.web.keys import FLEET, SETS
from tests.conftest import Client, character
from tests.e2e.conftest import ENVIRONMENT

# Starts an application, reloads, and prints what the process has of a fleet.
PROGRAM = """
import asyncio, json, sys, threading
from aiohttp.test_utils import TestClient, TestServer
from charhost.settings import Settings
from charhost.web.app import create_app

async def main():
    async with TestClient(TestServer(create_app(Settings(directory=sys.argv[1])))) as client:
        assert (await client.post("/v1/characters/reload", json={})).status == 200
        assert (await client.get("/v1/ready")).status == 200
        tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
        threads = [thread.name for thread in threading.enumerate()]
        text = await (await client.get("/metrics")).text()
    modules = [name for name in sys.modules if name.startswith(("nats", "charhost.fleet", "charhost.web.fleet"))]
    running = [name for name in tasks + threads if "leet" in name or "nats" in name]
    print(json.dumps([modules, running, "charhost_fleet_" in text]))

asyncio.run(main())
"""


def test_nothing_of_a_fleet_is_imported_or_runs(tmp_path: Path) -> None:
    """Of the modules only the routes are there, which name their handlers; there is no task, thread or metric."""
    (tmp_path / "ada.py").write_text(character("Ada"))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [["charhost.web.fleet", "charhost.web.fleet.routes"], [], False]


async def test_its_manager_asks_for_no_consent(client: Client) -> None:
    """Reloads go the way that they went before there were fleets."""
    assert client.app is not None
    manager = client.app[SETS].default.manager
    assert (isinstance(manager, CharacterManager), manager.consent, FLEET in client.app) == (True, None, False)


async def test_it_is_ready_while_it_has_a_character(client: Client, directory: Path) -> None:
    """A load balancer finds a server that is empty or stopping not ready, with the reason."""
    assert client.app is not None
    assert await (await client.get("/v1/ready")).json() == {"ready": True, "reason": None}
    client.app[SETS].default.manager.release()
    empty = await client.get("/v1/ready")
    assert (empty.status, await empty.json()) == (503, {"ready": False, "reason": "empty"})
