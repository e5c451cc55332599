"""The end of versions of character files, with real reloads."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import REGISTRY

from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.loading.unloading import Unloading
from charhost.settings import Settings
from charhost.threads.worker_pool import WorkerPool
from charhost.web.app import create_app
from charhost.web.keys import SETS
from tests.conftest import Client, character
from tests.loading.helpers import left_of
from tests.reload.helpers import Gate, Write, module_of

# Notes each execution of a file, and each call of its `on_unload`.
UNLOADS = "import notes\nMINE = notes.execute(__file__)\ndef on_unload():\n    notes.unload(MINE)\n"

Start = Callable[..., Awaitable[Client]]


class Notes(ModuleType):
    """The module `notes` of character files: the versions that were executed, and those that were unloaded."""

    def __init__(self) -> None:
        super().__init__("notes")
        self.executed: list[str] = []
        self.unloaded: list[str] = []
        self.threads: set[str] = set()

    def execute(self, file: str) -> str:
        """Return the name of a version: `ada 2` is the second one of ada.py."""
        stem = Path(file).stem
        self.executed.append(f"{stem} {1 + sum(name.split()[0] == stem for name in self.executed)}")
        return self.executed[-1]

    def unload(self, version: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.unloaded.append(version)

    async def until(self, *versions: str) -> None:
        """Wait until exactly *versions* are unloaded."""
        async with asyncio.timeout(60):
            while sorted(self.unloaded) != sorted(versions):
                assert len(self.unloaded) <= len(versions), self.unloaded
                await asyncio.sleep(0.01)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    """The module that the character files import."""
    notes = Notes()
    monkeypatch.setitem(sys.modules, "notes", notes)
    return notes


@pytest.fixture
def directory(directory: Path, notes: Notes) -> Path:
    """The directory, in which Ada and Bob note their versions."""
    for name in ("ada", "bob"):
        (directory / f"{name}.py").write_text(UNLOADS + character(name.title()))
    return directory


@pytest.fixture
def start(aiohttp_client: Start, directory: Path) -> Start:
    """Start a server with settings."""

    async def start(**fields: Any) -> Client:
        return await aiohttp_client(create_app(Settings(directory=directory, **fields)))

    return start


async def reload(client: Client, status: int = 200, **fields: Any) -> Any:
    """Reload, and check the status."""
    response = await client.post("/v1/characters/reload", json=fields)
    assert response.status == status, await response.text()
    return await response.json()


async def left_running(client: Client) -> list[dict[str, str]]:
    """Return the part of the status."""
    return list((await (await client.get("/v1/characters/status")).json())["left_running"])


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_version_is_unloaded_once(client: Client, notes: Notes) -> None:
    """After each reload the versions before are unloaded, without a garbage collection, on a thread of the pool."""
    for count in range(1, 4):
        await reload(client)
        await notes.until(*(f"{name} {number}" for name in ("ada", "bob") for number in range(1, count + 1)))
    gc.collect()
    await reload(client, scope="changed")
    assert len(notes.unloaded) == 6
    assert notes.threads == {"charhost-loader"}


async def test_an_event_loop_that_is_quicker_than_a_thread_is_woken_again(directory: Path) -> None:
    """A version ends although the loop ended the one before while the thread that dropped that was still waking it."""

    class QuickLoop:
        def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
            callback()

    space = ModuleSpace(take_snapshot(directory, Limits(10, 1 << 20, 1 << 20)))
    unloading = Unloading(WorkerPool(), 5)
    versions = [unloading.open(space, path) for path in ("ada.py", "bob.py")]
    unloading._loop = QuickLoop()  # type: ignore[assignment]
    del versions[0]
    del versions[0]
    assert not unloading._gone


async def test_a_version_that_is_carried_over_stays(client: Client, notes: Notes, write: Write) -> None:
    """Reloads of `changed` unload what they replace; a removed file is unloaded, too."""
    write("bob.py", UNLOADS + character("Bob", "New."))
    await reload(client, scope="changed")
    await notes.until("bob 1")
    write("bob.py", "").unlink()
    await reload(client, scope="changed")
    await notes.until("bob 1", "bob 2")
    assert notes.executed == ["ada 1", "bob 1", "bob 2"]


async def test_a_version_that_is_not_taken_is_unloaded(client: Client, notes: Notes, write: Write) -> None:
    """A dry run, a refused reload, a character that is not valid and a duplicate are unloaded."""
    await reload(client, dry_run=True)
    await notes.until("ada 2", "bob 2")
    write("odd.py", UNLOADS + character("Odd") + "METADATA = 1\n")
    await reload(client, 422, on_error="abort")
    await notes.until("ada 2", "bob 2", "ada 3", "bob 3", "odd 1")
    write("odd.py", UNLOADS + character("Ada"))
    assert (await reload(client, scope="changed"))["error_count"] == 1
    await notes.until("ada 2", "bob 2", "ada 3", "bob 3", "odd 1", "odd 2")


async def test_a_file_that_fails_is_not_unloaded(client: Client, notes: Notes, write: Write) -> None:
    """A file that was not executed to its end has no `on_unload`."""
    write("odd.py", UNLOADS + "1 / 0\n")
    await reload(client, dry_run=True)
    await notes.until("ada 2", "bob 2")
    assert "odd 1" in notes.executed


async def test_a_refused_reload_holds_no_version(client: Client, notes: Notes) -> None:
    """The error of a reload that was refused keeps nothing of the set that served then."""
    gc.disable()
    try:
        refused = asyncio.create_task(reload(client, 404, directory="/nowhere"))
        await reload(client)
        await refused
        await reload(client)
        await notes.until("ada 1", "bob 1", "ada 2", "bob 2")
    finally:
        gc.enable()


async def test_a_session_holds_its_version(client: Client, notes: Notes) -> None:
    """A session on an old version keeps it until the session ends, also when it could be resumed."""
    async with client.ws_connect("/v1/realtime?model=Ada&dialect=ga") as socket:
        await socket.receive_json()
        await reload(client, sessions="keep")
        await notes.until("bob 1")
        gc.collect()
        await reload(client, sessions="keep")
        await notes.until("bob 1", "ada 2", "bob 2")
    await notes.until("bob 1", "ada 2", "bob 2", "ada 1")


async def test_a_continued_chat_holds_its_version(client: Client, notes: Notes) -> None:
    """A version of which chat completions keep an instance is unloaded when that goes."""
    chat = {"model": "Ada", "messages": [{"role": "user", "content": "Hello."}]}
    assert (await client.post("/v1/chat/completions", json=chat)).status == 200
    await reload(client, sessions="keep")
    await notes.until("bob 1")
    await reload(client)
    await notes.until("bob 1", "ada 1", "ada 2", "bob 2")


async def test_a_rollback_is_a_version_of_its_own(client: Client, notes: Notes) -> None:
    """The history holds bytes and no version; a rollback executes the files again."""
    await reload(client)
    await notes.until("ada 1", "bob 1")
    assert (await client.post("/v1/characters/rollback", json={})).status == 200
    await notes.until("ada 1", "bob 1", "ada 2", "bob 2")
    assert notes.executed[-2:] == ["ada 3", "bob 3"]


async def test_a_file_that_others_import_is_unloaded_with_them(client: Client, notes: Notes, write: Write) -> None:
    """Executed again for a file that imports it, it is unloaded when that is, and a helper never."""
    write("bob.py", f"from . import ada, _help\n{UNLOADS}{character('Bob')}")
    write("_help.py", UNLOADS)
    await reload(client, scope="changed")
    await notes.until("bob 1")
    write("bob.py", f"from . import ada, _help\n{UNLOADS}{character('Bob', 'New.')}")
    await reload(client, scope="changed")
    await notes.until("bob 1", "bob 2", "ada 2")
    assert notes.executed[2:] == ["ada 2", "_help 1", "bob 2", "ada 3", "_help 2", "bob 3"]


async def test_the_build_is_there_until_the_end(client: Client, notes: Notes, write: Write) -> None:
    """`on_unload` may import helpers for the first time, log and count; afterwards nothing is left of the build."""
    write("_late.py", "WORD = 'late'\n")
    write(
        "ada.py",
        "import logging, prometheus_client, notes\n"
        "SEEN = prometheus_client.Counter('ada_seen', 'Seen.')\n"
        "logging.getLogger(__name__).addHandler(hdlr := logging.NullHandler())\n"
        "def on_unload():\n"
        "    from ._late import WORD\n    from characters import ada\n    SEEN.inc()\n"
        "    notes.unload(f'{WORD} {ada.on_unload is on_unload} {hdlr in logging.getLogger(__name__).handlers}')\n"
        + character("Ada"),
    )
    await reload(client)
    assert client.app is not None
    build = int(module_of(client.app[SETS].default.manager.current["Ada"]).split(".")[1][1:])
    write("ada.py", "").unlink()
    await reload(client)
    await notes.until("ada 1", "bob 1", "bob 2", "late True True")

    def is_gone() -> bool:
        gc.collect()
        return left_of(build) == []

    await eventually(is_gone)
    assert not any(family.name.startswith("ada") for family in REGISTRY.collect())
    assert "ada_seen" not in await (await client.get("/metrics")).text()


ENDS = {
    "raises": ("    1 / 0", "ada.py:3: ZeroDivisionError: division by zero"),
    "exits": ("    raise SystemExit(3)", "ada.py:3: SystemExit: 3"),
    "hangs": ("    while True: pass", "ada.py:3: LoadTimeout: not finished after 0.5 s"),
    "fails later": ("    await asyncio.sleep(0)\n    1 / 0", "ada.py:4: ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_an_error_costs_a_line_of_the_log(
    start: Start, notes: Notes, write: Write, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """An `on_unload` that raises, exits or hangs, async or not, is logged with file and line; all others run."""
    body, line = ENDS[end]
    word = "async def" if "await" in body else "def"
    write("ada.py", f"import asyncio\n{word} on_unload():\n{body}\n{character('Ada')}")
    client = await start(file_deadline=0.5)
    for _ in range(2):
        assert (await reload(client))["error_count"] == 0
    await notes.until("bob 1", "bob 2")
    await eventually(lambda: caplog.text.count(f"on_unload failed: {line}") == 2)
    assert (await client.get("/v1/characters")).status == 200


async def test_an_async_one_is_awaited(client: Client, notes: Notes, write: Write) -> None:
    """`async def on_unload` runs in an event loop of its own."""
    source = UNLOADS.replace("def on_unload():", "async def on_unload():\n    import asyncio; await asyncio.sleep(0)")
    write("ada.py", source + character("Ada"))
    await reload(client)
    await reload(client)
    await notes.until("ada 1", "bob 1", "ada 2", "bob 2")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def on_unload(why): pass", "on_unload cannot be called without arguments: expected def on_unload()"),
        ("on_unload = 1", "on_unload is 1: expected def on_unload()"),
    ],
)
async def test_what_cannot_be_called_is_an_error(client: Client, write: Write, source: str, message: str) -> None:
    """An `on_unload` with a wrong signature is an error of the file, with its line."""
    write("cyd.py", f"\n{source}\n{character('Cyd')}")
    (error,) = (await reload(client))["errors"]
    assert (error["file"], error["line"], error["error_type"]) == ("cyd.py", 2, "ValidationError")
    assert error["message"] == message


async def test_a_stuck_file_holds_no_other(start: Start, notes: Notes, write: Write, gate: Gate) -> None:
    """A thread that is stuck in one file keeps no version of the others that were loaded with it."""
    client = await start(file_deadline=5)
    write("stuck.py", "import gate\ngate.wait()\n")
    (error,) = (await reload(client))["errors"]
    assert error["error_type"] == "LoadTimeout"
    write("stuck.py", "").unlink()
    await reload(client)
    await notes.until("ada 1", "bob 1", "ada 2", "bob 2")


# The end of the server


async def test_shutdown_unloads_all_side_by_side(start: Start, notes: Notes, write: Write) -> None:
    """At a shutdown all versions are unloaded, old ones in sessions too, and each of forty waits for all the others."""
    for number in range(40):
        meeting = "def on_unload():\n    notes.meet(60)\n    notes.unload(MINE)\n"
        write(f"c{number}.py", UNLOADS + meeting + character(f"C{number}"))
    notes.meet = threading.Barrier(40).wait  # type: ignore[attr-defined]
    client = await start(shutdown_timeout=60)
    async with client.ws_connect("/v1/realtime?model=Ada&dialect=ga") as socket:
        await socket.receive_json()
        write("ada.py", UNLOADS + character("Ada", "New."))
        await reload(client, sessions="keep", scope="changed")
        assert notes.unloaded == []
        await client.close()
    assert sorted(notes.unloaded) == sorted(notes.executed)
    gc.collect()
    assert len(notes.unloaded) == 43


async def test_shutdown_has_one_deadline(
    start: Start, notes: Notes, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """Versions that hang hold a shutdown up for its timeout, once; those that were ending already, too."""
    for number in range(8):
        write(f"c{number}.py", f"def on_unload():\n    while True: pass\n{character(f'C{number}')}")
    client = await start(shutdown_timeout=0.5)
    await reload(client)
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 30
    assert sorted(notes.unloaded) == ["ada 1", "ada 2", "bob 1", "bob 2"]
    for number in range(8):
        assert caplog.text.count(f"on_unload failed: c{number}.py") == 2


# What is left running

RUNS = """
import asyncio, threading
END = threading.Event()
def work():
    END.wait(60)
async def poll():
    while not END.is_set():
        await asyncio.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("threading.Thread(target=work, name='digger').start()", [("thread", "digger")]),
        (
            "threading.Thread(target=lambda: asyncio.run(poll()), name='looper').start()",
            [("thread", "looper"), ("task", "poll")],
        ),
        (
            "import concurrent.futures\nP = concurrent.futures.ThreadPoolExecutor(1, 'pool')\nP.submit(work)",
            [("thread", "pool_0")],
        ),
    ],
)
async def test_what_is_left_running_is_named(
    client: Client, write: Write, caplog: pytest.LogCaptureFixture, statement: str, found: list[tuple[str, str]]
) -> None:
    """Threads of a version that has ended, and the tasks in them, are in the log and in the status, with the file."""
    write("_run.py", RUNS)
    write("cyd.py", f"from ._run import *\nimport notes\nnotes.end = END\n{statement}\n{character('Cyd')}")
    await reload(client)
    assert await left_running(client) == []
    write("cyd.py", "").unlink()
    await reload(client)
    notes: Any = sys.modules["notes"]
    async with asyncio.timeout(60):
        while len(left := await left_running(client)) < len(found):
            await asyncio.sleep(0.01)
    assert [(one["file"], one["kind"]) for one in left] == [("cyd.py", kind) for kind, _ in found]
    assert all(name in one["name"] for one, (_, name) in zip(left, found, strict=True))
    await eventually(lambda: "cyd.py left running: thread " in caplog.text)
    assert all(f"{kind} " in caplog.text and name in caplog.text for kind, name in found)
    notes.end.set()
    async with asyncio.timeout(60):
        while await left_running(client):
            await asyncio.sleep(0.01)


async def test_threads_that_end_are_not_named(client: Client, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """Threads that `on_unload` joins, or that end with their executor, are no news."""
    caplog.set_level(logging.WARNING)
    write("_run.py", RUNS)
    source = "from ._run import *\nT = threading.Thread(target=work)\nT.start()\n"
    write("cyd.py", source + "def on_unload():\n    END.set()\n    T.join()\n" + character("Cyd"))
    pool = "import concurrent.futures\nP = concurrent.futures.ThreadPoolExecutor(1)\nP.submit(int).result()\n"
    write("dan.py", pool + character("Dan"))
    await reload(client)
    write("cyd.py", "").unlink()
    write("dan.py", "").unlink()
    await reload(client)
    async with asyncio.timeout(60):
        while await left_running(client):
            await asyncio.sleep(0.01)
    assert "left running" not in caplog.text


async def test_a_timer_that_starts_itself_again_stays_named(client: Client, write: Write) -> None:
    """Threads that a left thread starts belong to the same file."""
    source = "import threading, notes\nnotes.goes_on = True\nnotes.ticks = 0\ndef tick():\n    notes.ticks += 1\n"
    source += "    if notes.goes_on: threading.Timer(0.01, tick).start()\ntick()\n"
    write("cyd.py", source + character("Cyd"))
    await reload(client)
    notes: Any = sys.modules["notes"]
    write("cyd.py", "").unlink()
    await reload(client)
    seen = notes.ticks
    await eventually(lambda: notes.ticks > seen + 5)
    assert {(one["file"], one["kind"]) for one in await left_running(client)} == {("cyd.py", "thread")}
    notes.goes_on = False
    async with asyncio.timeout(60):
        while await left_running(client):
            await asyncio.sleep(0.01)
