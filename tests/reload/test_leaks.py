"""No reload leaves a thread, task, descriptor, module, logger or line of source behind."""

from __future__ import annotations

import asyncio
import gc
import linecache
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.reload.helpers import Gate, Write

Kind = Callable[[Client, Write], Awaitable[None]]

ROUNDS = 2
LIMIT = 180.0

# What ends with an application; its modules stay, as aiohttp keeps applications in a cache of its own.
RUNNING = ("threads", "tasks", "descriptors")

HELPER = "import logging\nlogging.getLogger(__name__).debug('loaded')\nTAG = 1\n"
USER = "from characters.resources.tag import TAG\nimport logging\nlogging.getLogger(__name__)\ndef on_unload(): pass\n"


def footprint() -> dict[str, Counter[str]]:
    """Return the threads, tasks, descriptors, modules, loggers and source lines, without the numbers of builds."""
    loggers = [name for name in logging.Logger.manager.loggerDict if name.startswith("characters")]
    return {
        "threads": Counter(thread.name for thread in threading.enumerate()),
        "tasks": Counter(_name(task) for task in asyncio.all_tasks()),
        "descriptors": Counter(_descriptors()),
        "modules": Counter(_numberless(name) for name in list(sys.modules)),
        "loggers": Counter(map(_numberless, loggers)),
        "lines": Counter(map(_numberless, linecache.cache)),
    }


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.append(re.sub(r"\d+", "N", os.readlink(f"/proc/self/fd/{name}")))
    return found


def _numberless(name: str) -> str:
    return re.sub(r"^characters\.b\d+", "characters.b", name)


async def difference(
    before: dict[str, Counter[str]], kinds: tuple[str, ...] = (*RUNNING, "modules", "loggers", "lines")
) -> dict[str, Counter[str]]:
    """Return the growth since *before*, once threads that end and sockets that close have ended."""
    more: dict[str, Counter[str]] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(LIMIT):
            while True:
                gc.collect()
                now = footprint()
                more = {kind: now[kind] - before[kind] for kind in kinds if now[kind] - before[kind]}
                if not more:
                    break
                await asyncio.sleep(0.02)
    return more


async def reload(client: Client, status: int = 200, **fields: Any) -> Any:
    """Post a reload, and check that its status is *status*."""
    response = await client.post("/v1/characters/reload", json=fields)
    assert response.status == status, await response.text()
    return await response.json()


async def good(client: Client, write: Write) -> None:
    """Execute every file."""
    assert (await reload(client))["outcome"] == "applied"


async def edited(client: Client, write: Write) -> None:
    """Edit a helper, and load only the characters that import it."""
    write("resources/tag.py", HELPER + f"# {os.urandom(8).hex()}\n")
    assert (await reload(client, scope="changed"))["changes"]["modified"] == ["Bob"]


async def unchanged(client: Client, write: Write) -> None:
    """Load nothing, since nothing changed."""
    assert (await reload(client, scope="changed"))["outcome"] == "unchanged"


async def broken(client: Client, write: Write) -> None:
    """Load the other files although one fails."""
    write("broken.py", USER + "raise RuntimeError")
    assert (await reload(client))["error_count"] == 1


async def refused(client: Client, write: Write) -> None:
    """Change nothing, since a file fails."""
    write("broken.py", USER + "class Odd(BaseException): pass\nraise Odd")
    await reload(client, 422, on_error="abort")


async def kept(client: Client, write: Write) -> None:
    """Keep the last good version of a file that fails."""
    write("ada.py", character("Ada"))
    await reload(client)
    write("ada.py", "raise RuntimeError")
    assert (await reload(client, on_error="keep"))["changes"]["unchanged"] == 2
    write("ada.py", character("Ada"))


async def missing(client: Client, write: Write) -> None:
    """Name a missing directory."""
    await reload(client, 404, directory="/nowhere")


async def elsewhere(client: Client, write: Write) -> None:
    """Serve another directory, and return to the first."""
    (file := write("../other/cyd.py", character("Cyd"))).touch()
    await reload(client, directory=str(file.parent))
    await reload(client, directory="default")


async def dry(client: Client, write: Write) -> None:
    """Load the files as a dry run."""
    assert (await reload(client, dry_run=True))["outcome"] == "valid"


async def hanging(client: Client, write: Write) -> None:
    """Load a file that never ends by itself."""
    write("hung.py", "try:\n    while True: pass\nexcept BaseException:\n    while True: pass")
    (error,) = (await reload(client))["errors"]
    assert error["error_type"] == "LoadTimeout"


async def abandoned(client: Client, write: Write) -> None:
    """Disconnect while a file is running; the reload ends without its caller."""
    gate = sys.modules["gate"] = Gate()
    write("slow.py", "import gate\ngate.wait()\n" + character("Slow"))
    request = asyncio.create_task(client.post("/v1/characters/reload", json={}))
    await gate.until_reached()
    request.cancel()
    await asyncio.wait([request])
    gate.opened.set()
    del sys.modules["gate"]
    assert (await reload(client, scope="changed"))["outcome"] == "unchanged"


async def concurrent(client: Client, write: Write) -> None:
    """Send twenty requests of two kinds at once."""
    await asyncio.gather(*(reload(client, dry_run=index % 2 == 0) for index in range(20)))


async def isolated(client: Client, write: Write) -> None:
    """Load the files in a child process first."""
    assert (await reload(client, check_isolated=True))["outcome"] == "applied"


async def crashed(client: Client, write: Write) -> None:
    """Load a file that ends the child process."""
    write("crash.py", USER + "import os\nos._exit(1)")
    await reload(client, 422, check_isolated=True)


async def close_affected(client: Client, write: Write) -> None:
    """Move sessions to the equal new characters."""
    assert (await reload(client, sessions="close_affected"))["sessions"]["affected"] == 0


async def keep_sessions(client: Client, write: Write) -> None:
    """Keep sessions on the old set until they end."""
    assert (await reload(client, sessions="keep"))["sessions"]["affected"] == 0


KINDS: list[Kind] = [
    good,
    edited,
    unchanged,
    broken,
    refused,
    kept,
    missing,
    elsewhere,
    dry,
    hanging,
    abandoned,
    concurrent,
    isolated,
    crashed,
    close_affected,
    keep_sessions,
]


@pytest.fixture
def settings(directory: Path) -> Settings:
    """Settings with short deadlines for a file that hangs."""
    return Settings(directory=directory, file_deadline=1, load_deadline=60, close_grace=0.5)


@pytest.fixture
def populated(write: Write) -> None:
    """Ada, and Bob, who uses a helper."""
    write("resources/tag.py", HELPER)
    write("bob.py", USER + character("Bob"))


async def one_round(kind: Kind, client: Client, write: Write) -> None:
    """Reload with three sessions open, then remove the extra files and close the sessions."""
    sockets = [await client.ws_connect("/v1/realtime", params={"model": name}) for name in ("Ada", "Bob", "Ada")]
    for socket in sockets:
        await socket.receive_json()
    await kind(client, write)
    for socket in sockets:
        await socket.close()
    for name in ("broken.py", "hung.py", "slow.py", "crash.py"):
        write(name, "").unlink()
    write("resources/tag.py", HELPER)
    await reload(client)


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_reload_leaves_nothing_behind(client: Client, write: Write, kind: Kind) -> None:
    """After several reloads of each kind the process has no more than after the first."""
    await one_round(kind, client, write)
    before = await settled()
    for _ in range(ROUNDS):
        await one_round(kind, client, write)
    assert await difference(before) == {}


async def settled() -> dict[str, Counter[str]]:
    """Return the footprint once it no longer changes."""
    async with asyncio.timeout(LIMIT):
        found = footprint()
        still = 0
        while still < 3:
            gc.collect()
            await asyncio.sleep(0.02)
            still = still + 1 if (now := footprint()) == found else 0
            found = now
    return found


@pytest.mark.usefixtures("populated")
async def test_an_application_leaves_nothing_running(settings: Settings, write: Write) -> None:
    """An application that has ended leaves no thread, task, descriptor or child process."""
    await lifetime(settings, write)
    before = await settled()
    await lifetime(settings, write)
    assert await difference(before, RUNNING) == {}


async def lifetime(settings: Settings, write: Write) -> None:
    """Run an application whose sessions stay open to the end."""
    client: TestClient[web.Request, web.Application] = TestClient(TestServer(create_app(settings)))
    async with client:
        for kind in (good, isolated, broken):
            await one_round(kind, client, write)
        async with client.ws_connect("/v1/realtime?dialect=ga") as socket:
            await socket.receive_json()
            await reload(client, sessions="keep")
