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

# Starts an application, uses what a fleet would share, and prints what the process has of a fleet.
PROGRAM = """
import asyncio, json, sys, threading
from aiohttp.test_utils import TestClient, TestServer
from charhost.settings import Settings
from charhost.web.app import create_app

SESSION = {"session": {"type": "realtime", "model": "Ada"}}

async def main():
    async with TestClient(TestServer(create_app(Settings(directory=sys.argv[1])))) as client:
        assert (await client.post("/v1/characters/reload", json={})).status == 200
        assert (await client.post("/v1/responses", json={"model": "Ada", "input": "Hello"})).status == 200
        assert (await client.post("/v1/realtime/client_secrets", json=SESSION)).status == 200
        async with client.ws_connect("/v1/realtime", params={"dialect": "ga"}) as ws:
            session = (await ws.receive_json())["session"]["id"]
            await ws.send_json({"type": "response.create"})
            while (await ws.receive_json())["type"] != "response.done":
                pass
            await ws.close(code=1001)
        async with client.ws_connect("/v1/realtime", params={"resume": session}) as ws:
            assert (await ws.receive_json())["session"]["id"] == session
        assert (await client.get("/v1/ready")).status == 200
        text = await (await client.get("/metrics")).text()
        tasks = [task.get_coro().cr_code.co_filename for task in asyncio.all_tasks()]
        timers = [repr(timer) for timer in asyncio.get_running_loop()._scheduled]
        threads = [repr((thread.name, getattr(thread, "_target", None))) for thread in threading.enumerate()]
    print(json.dumps({
        "modules": of_a_fleet(sys.modules),
        "running": of_a_fleet(tasks + timers + threads),
        "metrics": of_a_fleet(line for line in text.splitlines() if not line.startswith("#")),
    }))

def of_a_fleet(names):
    return [name for name in names if any(word in name for word in ("fleet", "nats", ".shared_", "/shared_"))]

asyncio.run(main())
"""


def test_nothing_of_a_fleet_is_imported_or_runs(tmp_path: Path) -> None:
    """Reloads, sessions, responses and client secrets need no module, task, timer, thread or metric of a fleet."""
    (tmp_path / "ada.py").write_text(character("Ada"))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"modules": ["charhost.settings.fleet"], "running": [], "metrics": []}


async def test_its_manager_asks_for_no_consent(client: Client) -> None:
    """Reloads go the way that they went before there were fleets."""
    assert client.app is not None
    manager = client.app[SETS].default.manager
    assert (isinstance(manager, CharacterManager), manager.consent, FLEET in client.app) == (True, None, False)
