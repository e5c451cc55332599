"""The fork server stays between checks, and ends with the sandbox."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from charhost.errors import CharhostError
from charhost.sandbox.sandbox import Sandbox
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write
from tests.sandbox.helpers import KILLERS, LEAVES, SLEEPS, check, kill, marked, remaining

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")


async def test_file_that_kills_the_fork_server_is_named(
    sandbox: Sandbox, directory: Path, write: Write, mark: str
) -> None:
    """A file that kills the process that forked it is reported, and does not run on."""
    write("bob.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{SLEEPS}")
    write("eve.py", character("Eve"))
    assert [(file, kind) for file, kind, _ in await check(sandbox, directory)] == [("bob.py", "Crash")]
    await sandbox.close()
    assert await remaining(mark, 0) == []


@pytest.mark.parametrize("end", ["SIGKILL", "SIGSTOP"])
async def test_file_that_ends_the_fork_server_takes_its_processes_along(
    sandbox: Sandbox, directory: Path, write: Write, mark: str, end: str
) -> None:
    """Processes that have left the group and their parents are ended by the check itself."""
    program = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    # Only the process that loads the file has the fork server above it.
    alone = f"import os\nme = os.getpid()\n{LEAVES}if os.getpid() != me: time.sleep(1000)\n"
    write("bob.py", f"{alone}{program}import signal\nos.kill(os.getppid(), signal.{end})\n{SLEEPS}")
    assert [(file, kind) for file, kind, _ in await check(sandbox, directory)] == [("bob.py", "Crash")]
    assert await remaining(mark, 0) == []


async def test_processes_that_have_ended_do_not_count(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """A file may start more processes than the limit, one after the other, also some that its shell leaves behind."""
    write("bob.py", f"import subprocess\nfor _ in range(40): subprocess.run('true &', shell=True){character('Bob')}")
    assert await check(sandbox, directory) == []


async def test_file_that_stops_the_fork_server_does_not_block(
    sandbox: Sandbox, directory: Path, write: Write, mark: str
) -> None:
    """A check whose process was stopped can be cancelled, and `close` does not wait for it."""
    write("bob.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\n{SLEEPS}")
    with suppress(TimeoutError):
        await asyncio.wait_for(check(sandbox, directory), 2)
    await asyncio.wait_for(sandbox.close(), 60)
    assert await remaining(mark, 0) == []


async def test_fork_server_stays(sandbox: Sandbox, directory: Path, write: Write, mark: str) -> None:
    """The second check uses the fork server of the first, also after a crash."""
    await check(sandbox, directory)
    first = marked(mark)
    write("bob.py", KILLERS["segfault"][0])
    await check(sandbox, directory)
    assert (len(first), marked(mark)) == (1, first)


async def test_check_works_again_after_the_fork_server_was_killed(sandbox: Sandbox, directory: Path, mark: str) -> None:
    """After the fork server was killed, at the latest the second check works."""
    await check(sandbox, directory)
    (pid,) = marked(mark)
    kill(pid, mark)
    with suppress(CharhostError):
        await check(sandbox, directory)
    assert await check(sandbox, directory) == []
    assert pid not in await remaining(mark, 1)


async def test_cancelled_check_leaves_nothing_running(
    sandbox: Sandbox, directory: Path, write: Write, mark: str, tmp_path: Path
) -> None:
    """A cancelled check ends its child before any deadline, and the next check works."""
    sandbox = Sandbox(Settings(directory=directory, file_deadline=1000))
    file = write("bob.py", f"{LEAVES}open({str(tmp_path / 'begun')!r}, 'w')\n{SLEEPS}")
    task = asyncio.create_task(check(sandbox, directory))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await remaining(mark, 0) == []
    file.unlink()
    assert await check(sandbox, directory) == []
    await sandbox.close()


async def test_cancelled_check_prints_no_traceback(
    directory: Path, write: Write, mark: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The fork server of a cancelled check prints no traceback."""
    sandbox = Sandbox(Settings(directory=directory, file_deadline=1000))
    write("bob.py", SLEEPS)
    with suppress(TimeoutError):
        await asyncio.wait_for(check(sandbox, directory), 1)
    await remaining(mark, 0)
    await sandbox.close()
    assert capfd.readouterr().err == ""


async def test_close_ends_the_fork_server(sandbox: Sandbox, directory: Path, mark: str) -> None:
    """After `close` no process is left; closing twice, or without a check, does no harm."""
    await sandbox.close()
    await check(sandbox, directory)
    assert len(marked(mark)) == 1
    await sandbox.close()
    await sandbox.close()
    assert await remaining(mark, 0) == []


async def test_keys_are_not_in_the_child(
    sandbox: Sandbox, directory: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment in a child process has no setting of the server, so no key."""
    monkeypatch.setenv("CHARHOST_ADMIN_KEY", "s3cret-key")
    seen = tmp_path / "seen"
    write("bob.py", f"import os\nopen({str(seen)!r}, 'w').write(repr(sorted(os.environ)) + repr(os.environ))")
    assert await check(sandbox, directory) == []
    assert "MARK_OF_TEST" in seen.read_text()
    assert "CHARHOST_" not in seen.read_text()
    assert "s3cret-key" not in seen.read_text()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_checks_leave_no_descriptor(sandbox: Sandbox, directory: Path, write: Write) -> None:
    """Checks leave no descriptor open, also those that fail."""
    write("bob.py", KILLERS["exit"][0])
    await check(sandbox, directory)
    before = descriptors()
    for _ in range(5):
        await check(sandbox, directory)
    assert descriptors() == before
