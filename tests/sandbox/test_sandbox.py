"""A file that kills or hangs a child process is an error that names it, and never reaches the server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from charhost.errors import IsolatedLoadFailed
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.sandbox.sandbox import Sandbox
from tests.conftest import character
from tests.reload.helpers import Write
from tests.sandbox.helpers import KILLERS, LEAVES, check, remaining, short_limits

# One fork server is used by all tests that leave it running.
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only"),
    pytest.mark.asyncio(loop_scope="module"),
]

THREAD = "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()"


@pytest.fixture(scope="module")
def mark() -> Iterator[str]:
    """A value in the environment of every process that these tests start, by which it is found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARK_OF_TEST", mark := f"charhost-test-{uuid4().hex}")
        yield mark


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(mark: str) -> AsyncIterator[Sandbox]:
    """A sandbox with short limits, which is as good as new after each test."""
    async with short_limits(mark) as sandbox:
        yield sandbox


@pytest.mark.parametrize(("source", "cause"), KILLERS.values(), ids=KILLERS)
async def test_file_that_kills_its_process_is_named(
    sandbox: Sandbox, directory: Path, write: Write, mark: str, source: str, cause: str
) -> None:
    """A file that kills or hangs its process is an error of type Crash with the cause, and no process of it is left."""
    write("bob.py", source)
    write("eve.py", character("Eve"))
    ((file, error_type, message),) = await check(sandbox, directory)
    assert (file, error_type) == ("bob.py", "Crash")
    assert cause in message
    assert len(await remaining(mark, 1)) == 1  # the fork server


async def test_all_files_that_crash_are_named(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """A check reports all files that crash (promise 4)."""
    sources = {"bob.py": "exit", "caf\udce9.py": "abort", "eve.py": None, "zoe.py": "sleep"}
    for path, kind in sources.items():
        write(path, KILLERS[kind][0] if kind else character("Eve"))
    assert [file for file, _, _ in await check(sandbox, directory)] == ["bob.py", "caf\\udce9.py", "zoe.py"]


async def test_helper_that_crashes_names_the_characters(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """A helper that kills the process is an error of each character that imports it."""
    write("resources/bad.py", "import os\nos._exit(1)")
    write("bob.py", "from characters.resources import bad")
    write("eve.py", "from .resources import bad")
    assert [file for file, _, _ in await check(sandbox, directory)] == ["bob.py", "eve.py"]


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
async def test_files_that_end_by_themselves_pass(
    sandbox: Sandbox, directory: Path, write: Write, mark: str, source: str
) -> None:
    """Files that load, or fail with an exception, pass the check, and no process of them is left."""
    write("bob.py", source)
    assert await check(sandbox, directory) == []
    assert len(await remaining(mark, 1)) == 1


async def test_each_file_has_its_own_deadline(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """Each file has a deadline of its own: many slow files may take longer together."""
    for number in range(8):
        write(f"bob{number}.py", f"import time\ntime.sleep(0.1){character()}")
    assert await check(sandbox, directory) == []


async def test_only_the_given_files_are_loaded(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """Only the requested files are executed."""
    write("bob.py", KILLERS["exit"][0])
    snapshot = take_snapshot(directory, Limits(10, 1 << 20, 1 << 20))
    await sandbox.check(snapshot, ["ada.py"])
    with pytest.raises(IsolatedLoadFailed, match=r"bob\.py"):
        await sandbox.check(snapshot, ["ada.py", "bob.py"])


async def test_bytes_are_those_of_the_snapshot(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """A check executes the bytes of the snapshot, not those on the disk (promise 10)."""
    snapshot = take_snapshot(directory, Limits(10, 1 << 20, 1 << 20))
    write("ada.py", KILLERS["exit"][0])
    await sandbox.check(snapshot, ["ada.py"])
