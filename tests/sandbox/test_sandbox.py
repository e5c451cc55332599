"""What kills or hangs a child process is an error that names the file, and never reaches the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request

from charhost.errors import CharhostError, IsolatedLoadFailed, ReloadRejected
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.sandbox.sandbox import Sandbox
from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import character

Write = Callable[[str, str], Path]
Client = TestClient[Request, Application]

DEADLINE = 0.5
GENEROUS = 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A value in the environment of every process that a test starts, by which it is found."""
    mark = f"charhost-test-{uuid4().hex}"
    monkeypatch.setenv("MARK_OF_TEST", mark)
    return mark


@pytest.fixture
async def isolation(directory: Path, mark: str) -> AsyncIterator[Sandbox]:
    """Sandbox with short limits; whatever is still there afterwards is ended."""
    isolation = Sandbox(Settings(directory=directory, file_deadline=DEADLINE, isolated_processes=16))
    try:
        yield isolation
    finally:
        for pid in marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(isolation.close(), GENEROUS)


def marked(mark: str) -> list[int]:
    """Find the processes that were started with *mark*, zombies aside."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


async def remaining(mark: str, most: int, patience: float = GENEROUS) -> list[int]:
    """Wait, with a generous limit, until at most *most* processes are left."""
    end = time.monotonic() + patience
    while len(found := marked(mark)) > most and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return found


async def check(isolation: Sandbox, directory: Path) -> list[tuple[str, str, str]]:
    """Load every file in children; answers file, type and message of each error."""
    snapshot = take_snapshot(directory, Limits(1000, 1 << 24, 1 << 20))
    try:
        await asyncio.wait_for(isolation.check(snapshot, snapshot.character_paths), GENEROUS)
    except IsolatedLoadFailed as e:
        return [(error.file, error.error_type, error.message) for error in e.errors]
    return []


SLEEPS = "import time\ntime.sleep(1000)"
LEAVES = """import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(1000)
"""
SWARM = """import os, time
for _ in range(40):
    if not os.fork():
        os.setsid()
        time.sleep(1000)
time.sleep(1000)
"""
THREAD = "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()"

KILLERS = {
    "exit": ("import os\nos._exit(3)", "it ended the process with status 3"),
    "clean exit": ("import os\nos._exit(0)", "it ended the process with status 0"),
    "abort": ("import os\nos.abort()", "the process died of SIGABRT"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "the process died of SIGSEGV"),
    "kills itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "the process died of SIGKILL"),
    "kills its group": ("import os, signal\nos.killpg(0, signal.SIGTERM)", "the process died of SIGTERM"),
    "becomes another program": ("import os\nos.execv('/bin/sh', ['sh', '-c', 'exit 5'])", "with status 5"),
    "closes every descriptor": ("import os\nos.closerange(0, 1000)", "it ended the process with status 70"),
    "memory": ("X = bytearray(10 << 30)", "it needs more than 2,147,483,648 bytes of memory"),
    "loop": ("while True: pass", "it was not finished after 0.5 s"),
    "stubborn loop": (
        "while True:\n    try:\n        len('')\n    except BaseException:\n        pass",
        "it was not finished after 0.5 s",
    ),
    "sleep": (SLEEPS, "it was not finished after 0.5 s"),
    "stops itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "it was not finished after 0.5 s"),
    "silent socket": (
        "import socket\nours, theirs = socket.socketpair()\nours.recv(1)",
        "it was not finished after 0.5 s",
    ),
    "fork bomb": (f"import os\nfor _ in range(8): os.fork()\n{SLEEPS}", "it started more than 16 processes"),
    "leaves its group and hangs": (f"{LEAVES}{SLEEPS}", "it was not finished after 0.5 s"),
    "leaves its group and dies": (f"{LEAVES}os.abort()", "the process died of SIGABRT"),
    "swarm out of the group": (SWARM, "loaded in a child process"),
    "hangs in a check": ("def __getattr__(name):\n    while True: pass", "it was not finished after 0.5 s"),
}


@pytest.mark.parametrize(("source", "cause"), KILLERS.values(), ids=KILLERS)
async def test_killer_is_named_and_nothing_is_left_of_it(
    isolation: Sandbox, directory: Path, write: Write, mark: str, source: str, cause: str
) -> None:
    """Whatever kills or hangs its process is an error of type Crash that names the file and says how it went."""
    write("bob.py", source)
    write("eve.py", character("Eve"))
    ((file, error_type, message),) = await check(isolation, directory)
    assert (file, error_type) == ("bob.py", "Crash")
    assert cause in message
    assert len(await remaining(mark, 1)) == 1  # the process that forks


async def test_file_that_kills_the_process_above_it_is_named(
    isolation: Sandbox, directory: Path, write: Write, mark: str
) -> None:
    """A file that kills the process that forked it is told like any other culprit, and does not run on."""
    write("bob.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{SLEEPS}")
    write("eve.py", character("Eve"))
    assert [(file, kind) for file, kind, _ in await check(isolation, directory)] == [("bob.py", "Crash")]
    await isolation.close()
    assert await remaining(mark, 0, patience=3) == []


async def test_file_that_stops_the_process_above_it_holds_nothing_up(
    isolation: Sandbox, directory: Path, write: Write, mark: str
) -> None:
    """A check whose process was stopped can be given up, and `close` does not wait for it."""
    write("bob.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\n{SLEEPS}")
    with suppress(TimeoutError):
        await asyncio.wait_for(check(isolation, directory), 2)
    await asyncio.wait_for(isolation.close(), 3)
    assert await remaining(mark, 0, patience=3) == []


async def test_several_culprits_are_named_in_one_answer(isolation: Sandbox, directory: Path, write: Write) -> None:
    """The check goes on behind each culprit, so that one answer has them all (promise 4)."""
    sources = {"bob.py": "exit", "caf\udce9.py": "abort", "eve.py": None, "zoe.py": "sleep"}
    for path, kind in sources.items():
        write(path, KILLERS[kind][0] if kind else character("Eve"))
    assert [file for file, _, _ in await check(isolation, directory)] == ["bob.py", "caf\\udce9.py", "zoe.py"]


async def test_culprit_in_a_helper_names_the_character(isolation: Sandbox, directory: Path, write: Write) -> None:
    """A helper that kills the process is told for each character that imports it."""
    write("resources/bad.py", "import os\nos._exit(1)")
    write("bob.py", "from characters.resources import bad")
    write("eve.py", "from .resources import bad")
    assert [file for file, _, _ in await check(isolation, directory)] == ["bob.py", "eve.py"]


HARMLESS = {
    "good": character("Bob"),
    "ordinary mistake": "1 / 0",
    "SystemExit": "raise SystemExit(3)",
    "lets a process go": f"{LEAVES}{character('Bob')}",
    "lets a child run on": f"import os\nif not os.fork():\n    raise SystemExit\n{character('Bob')}",
    "prints": f"print('x' * 1_000_000){character('Bob')}",
    "leaves a thread": f"{THREAD}{character()}",
    "closes output": f"import os, sys\nsys.stdout.close()\nos.close(1){character('Bob')}",
}


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS)
async def test_what_ends_by_itself_passes(
    isolation: Sandbox, directory: Path, write: Write, mark: str, source: str
) -> None:
    """Files that load, or fail as files do, pass the check; nothing that they started is left."""
    write("bob.py", source)
    assert await check(isolation, directory) == []
    assert len(await remaining(mark, 1)) == 1


async def test_each_file_has_its_own_deadline(isolation: Sandbox, directory: Path, write: Write) -> None:
    """Many slow files may take longer together than one of them may."""
    for number in range(8):
        write(f"bob{number}.py", f"import time\ntime.sleep(0.1){character()}")
    assert await check(isolation, directory) == []


async def test_only_the_given_files_are_loaded(isolation: Sandbox, directory: Path, write: Write) -> None:
    """What is not asked for is not executed: a reload of what changed leaves the others alone."""
    write("bob.py", KILLERS["exit"][0])
    snapshot = take_snapshot(directory, Limits(10, 1 << 20, 1 << 20))
    await isolation.check(snapshot, ["ada.py"])
    with pytest.raises(IsolatedLoadFailed, match=r"bob\.py"):
        await isolation.check(snapshot, ["ada.py", "bob.py"])


async def test_bytes_are_those_of_the_snapshot(isolation: Sandbox, directory: Path, write: Write) -> None:
    """What was read is checked, not what the disk holds since (promise 10)."""
    snapshot = take_snapshot(directory, Limits(10, 1 << 20, 1 << 20))
    write("ada.py", KILLERS["exit"][0])
    await isolation.check(snapshot, ["ada.py"])


# The process that forks


async def test_process_that_forks_stays(isolation: Sandbox, directory: Path, write: Write, mark: str) -> None:
    """The second check uses the process of the first, also after a culprit."""
    await check(isolation, directory)
    first = marked(mark)
    write("bob.py", KILLERS["segfault"][0])
    await check(isolation, directory)
    assert (len(first), marked(mark)) == (1, first)


async def test_check_works_again_after_the_process_was_killed(isolation: Sandbox, directory: Path, mark: str) -> None:
    """When the process that forks was killed, the next check says so or works, and the one after it works."""
    await check(isolation, directory)
    (pid,) = marked(mark)
    os.kill(pid, signal.SIGKILL)
    with suppress(CharhostError):
        await check(isolation, directory)
    assert await check(isolation, directory) == []
    assert pid not in await remaining(mark, 1)


async def test_cancelled_check_leaves_nothing_running(
    isolation: Sandbox, directory: Path, write: Write, mark: str, tmp_path: Path
) -> None:
    """A check that is given up ends its child at once, though no deadline is over, and the next one works."""
    isolation = Sandbox(Settings(directory=directory, file_deadline=1000))
    file = write("bob.py", f"{LEAVES}open({str(tmp_path / 'begun')!r}, 'w')\n{SLEEPS}")
    task = asyncio.create_task(check(isolation, directory))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await remaining(mark, 0) == []
    file.unlink()
    assert await check(isolation, directory) == []
    await isolation.close()


async def test_cancelled_check_prints_no_traceback(
    directory: Path, write: Write, mark: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The process that forks ends in silence when nobody waits for its answer."""
    isolation = Sandbox(Settings(directory=directory, file_deadline=1000))
    write("bob.py", SLEEPS)
    with suppress(TimeoutError):
        await asyncio.wait_for(check(isolation, directory), 1)
    await remaining(mark, 0)
    await isolation.close()
    assert capfd.readouterr().err == ""


async def test_close_ends_the_process(isolation: Sandbox, directory: Path, mark: str) -> None:
    """After `close` no process is left; closing twice, or without a check, is harmless."""
    await isolation.close()
    await check(isolation, directory)
    assert len(marked(mark)) == 1
    await isolation.close()
    await isolation.close()
    assert await remaining(mark, 0) == []


async def test_keys_are_not_in_the_child(
    isolation: Sandbox, directory: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment that a file sees in the child has no setting of the server, keys above all."""
    monkeypatch.setenv("CHARHOST_ADMIN_KEY", "s3cret-key")
    seen = tmp_path / "seen"
    write("bob.py", f"import os\nopen({str(seen)!r}, 'w').write(repr(sorted(os.environ)) + repr(os.environ))")
    assert await check(isolation, directory) == []
    assert "MARK_OF_TEST" in seen.read_text()
    assert "CHARHOST_" not in seen.read_text()
    assert "s3cret-key" not in seen.read_text()


# Reloads


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_checks_leave_no_descriptor(isolation: Sandbox, directory: Path, write: Write) -> None:
    """Checks, refused ones too, open nothing that stays open."""
    write("bob.py", KILLERS["exit"][0])
    await check(isolation, directory)
    before = descriptors()
    for _ in range(5):
        await check(isolation, directory)
    assert descriptors() == before


@pytest.fixture
async def guarded(directory: Path, mark: str) -> AsyncIterator[CharacterManager]:
    """A manager with a set, whose setting says to check."""
    settings = Settings(directory=directory, check_isolated=True, file_deadline=DEADLINE)
    manager = CharacterManager(settings, Metrics())
    await manager.reload_characters(trigger="startup")
    yield manager
    await manager.close(1)


async def test_refused_set_changes_nothing(guarded: CharacterManager, write: Write) -> None:
    """A reload whose check fails is rejected, names every culprit and leaves the set as it was (promise 2)."""
    before = guarded.current
    write("bob.py", KILLERS["segfault"][0])
    write("eve.py", KILLERS["memory"][0])
    with pytest.raises(ReloadRejected) as caught:
        await guarded.reload_characters()
    report = caught.value.report
    assert (caught.value.code, report.outcome, report.success) == ("isolated_load_failed", "rejected", False)
    assert [(error.file, error.error_type) for error in report.errors] == [("bob.py", "Crash"), ("eve.py", "Crash")]
    assert guarded.current is before


async def test_request_overrules_the_setting(guarded: CharacterManager, write: Write, tmp_path: Path) -> None:
    """`check_isolated: false` loads in the server only, `true` or nothing in a child first."""
    count = tmp_path / "count"
    write("ada.py", f"with open({str(count)!r}, 'a') as file: file.write('x')\n{character()}")
    for wish, runs in ((None, 2), (False, 3), (True, 5)):
        await guarded.reload_characters(ReloadRequest(check_isolated=wish))
        assert len(count.read_text()) == runs


async def test_good_reload_after_a_refused_one(guarded: CharacterManager, write: Write) -> None:
    """When the culprit is gone the next reload is applied, ordinary errors beside it as ever (promise 20)."""
    file = write("bob.py", KILLERS["exit"][0])
    with pytest.raises(ReloadRejected):
        await guarded.reload_characters()
    file.write_text("1 / 0")
    report = await guarded.reload_characters()
    assert (report.outcome, [error.error_type for error in report.errors]) == ("applied", ["ZeroDivisionError"])


async def test_dry_run_is_checked_too(guarded: CharacterManager, write: Write) -> None:
    """A dry run predicts the refusal of the real one (promise 33)."""
    write("bob.py", KILLERS["exit"][0])
    with pytest.raises(ReloadRejected, match=r"bob\.py: Crash"):
        await guarded.reload_characters(ReloadRequest(dry_run=True))


async def test_load_deadline_ends_the_check(directory: Path, write: Write, mark: str) -> None:
    """A check is part of the reload's own deadline, and leaves nothing running when that is over (promise 12)."""
    write("bob.py", SLEEPS)
    manager = CharacterManager(Settings(directory=directory, file_deadline=1000, load_deadline=0.5), Metrics())
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(check_isolated=True))
    assert caught.value.code == "load_timeout"
    assert await remaining(mark, 0) == []
    await manager.close(1)


async def test_closed_manager_leaves_no_process(guarded: CharacterManager, mark: str) -> None:
    """The process that forks ends with the manager."""
    assert len(marked(mark)) == 1
    await guarded.close(1)
    assert await remaining(mark, 0) == []


async def test_answer_over_http(aiohttp_client: Callable[..., Any], directory: Path, write: Write, mark: str) -> None:
    """The request field refuses with 422 `isolated_load_failed` and the errors; the set serves on (promise 5)."""
    client = await aiohttp_client(create_app(Settings(directory=directory)))
    write("bob.py", KILLERS["abort"][0])
    answer = await client.post("/v1/characters/reload", json={"check_isolated": True})
    problem = await answer.json()
    assert (answer.status, problem["code"], problem["outcome"]) == (422, "isolated_load_failed", "rejected")
    assert [(error["file"], error["error_type"]) for error in problem["errors"]] == [("bob.py", "Crash")]
    assert (await (await client.get("/v1/health")).json())["generation"] == 1
