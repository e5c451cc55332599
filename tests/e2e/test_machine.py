"""What a machine lacks costs only what needs it: a disk that is full, read-only or gone, /proc, a name for the user."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import BlockingServer, wait_for
from tests.e2e.helpers import may
from tests.event_tap import RECORDED

NAMESPACES = "-m" if os.geteuid() == 0 else "-Urm"


def after(script: str) -> tuple[str, ...]:
    """Return the beginning of a command that runs in a mount namespace of its own, after *script*."""
    return ("unshare", NAMESPACES, "sh", "-euc", f'{script}\nexec "$@"', "sh")


pytestmark = pytest.mark.skipif(
    not may("mount -t tmpfs tmpfs /mnt", NAMESPACES), reason="no file system can be mounted here"
)


@contextmanager
def serving(home: Path, *options: str, before: tuple[str, ...] = ()) -> Iterator[BlockingServer]:
    """Run a server until the end of the block, and check that it then ends in order."""
    home.mkdir(exist_ok=True)
    server = BlockingServer(home, *options, before=before)
    try:
        yield server
        assert server.end() == 0, server.log
    finally:
        server.process.kill()


def inside(server: BlockingServer, script: str) -> None:
    """Run a line of shell in the mount namespace of a server."""
    # The process is not waited for before its end, so that no other one can be given its number meanwhile.
    user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
    subprocess.run(["nsenter", f"--target={server.process.pid}", "--mount", *user, "sh", "-euc", script], check=True)


def test_a_full_disk_costs_lines_of_the_log_file(tmp_path: Path) -> None:
    """The server serves on, standard error has one line about it, and the file goes on when there is room."""
    (disk := tmp_path / "disk").mkdir()
    mount = after(f"mount -t tmpfs -o size=64k tmpfs {disk}")
    with serving(tmp_path / "home", "--log-file", str(disk / "server.log"), before=mount) as server:
        inside(server, f"cat /dev/zero > {disk}/ballast 2> /dev/null || true")
        for _ in range(30):  # the rest of the last page of the file is filled, too
            server.assert_well()
        assert server.log.count("cannot be written: [Errno 28] No space left on device") == 1
        inside(server, f"rm {disk}/ballast")
        status, report = server.reload("default", reason="there is room")
        assert status == 200
        inside(server, f"tail -n 1 {disk}/server.log | grep -q 'generation {report['generation']},'")
    assert "Traceback" not in server.log


def test_a_disk_that_is_read_only_or_gone_costs_the_log_file_and_the_state(tmp_path: Path) -> None:
    """Each of both faults is one line, and both files go on when the disk is back."""
    (disk := tmp_path / "disk").mkdir()
    options = ("--log-file", str(disk / "server.log"), "--state", str(disk / "state.db"))
    with serving(tmp_path / "home", *options, before=after(f"mount -t tmpfs tmpfs {disk}")) as server:
        inside(server, f"mount -t tmpfs -o ro tmpfs {disk}")
        for _ in range(3):
            assert server.reload("default")[0] == 200
        assert server.log.count("server.log cannot be written: [Errno 30] Read-only file system") == 1
        assert server.log.count("could not be kept in the history: the state file") == 1
        inside(server, f"umount {disk}")
        reload_id = server.reload("default")[1]["reload_id"]
        assert server.get(f"/v1/characters/reloads/{reload_id}")[0] == 200
        assert server.get("/v1/characters/status")[1]["serving"]["generation"] == 5
        inside(server, f"tail -n 1 {disk}/server.log | grep -q 'generation 5,'")
    assert "Traceback" not in server.log


def test_a_machine_that_is_read_only_serves(tmp_path: Path) -> None:
    """A server that saves nothing needs no disk that it may write to."""
    (events,) = RECORDED.environment.values()  # of the test, not of the server
    private = f"mount --make-rprivate /\nmount --bind {events} {events}"
    script = f"{private}\nmount -o remount,bind,ro /\n! touch {tmp_path}/file 2> /dev/null"
    if not may(script, NAMESPACES):
        pytest.skip("the root directory cannot be made read-only here")
    with serving(tmp_path / "home", before=after(script)) as server:
        (server.directory / "bob.py").write_text(character("Bob"))
        assert server.reload("default")[0] == 200
        assert server.names() == ["Ada", "Bob", "Zoe"]
        assert b"session.created" in server.greeting()
    assert "Read-only" not in server.log


def test_checks_in_a_child_process_come_back_with_proc(tmp_path: Path) -> None:
    """Without /proc a reload that asks for a check is refused with what to do, and others go on."""
    with serving(tmp_path / "home", before=after("mount -t tmpfs tmpfs /proc")) as server:
        status, problem = server.reload("default", check_isolated=True)
        assert (status, problem["code"]) == (422, "isolated_load_failed")
        assert "/proc is not mounted here; mount it" in problem["errors"][0]["message"]
        assert server.reload("default")[0] == 200
        inside(server, "umount /proc")
        assert server.reload("default", check_isolated=True)[0] == 200


def test_allowed_roots_come_back_with_proc(tmp_path: Path) -> None:
    """Where no file can be located none is read; the watcher loads them by itself when /proc is back."""
    options = ("--watch", "--watch-interval", "1", "--allowed-roots", str(tmp_path))
    with serving(tmp_path / "home", *options, before=after("mount -t tmpfs tmpfs /proc")) as server:
        status, problem = server.reload("default")
        assert (status, server.names()) == (422, [])
        assert "unknown without /proc: mount it" in problem["errors"][0]["message"]
        inside(server, "umount /proc")
        wait_for(lambda: server.names() == ["Ada", "Zoe"])
        assert server.names() == ["Ada", "Zoe"]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="root and setpriv are needed")
def test_a_user_without_an_entry_in_passwd_serves(unknown_home: Path) -> None:
    """Such a user, as a container has one, has neither a name nor a home directory, and serves, checks and saves."""
    user = ("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups")
    # The interpreter may lie in a folder that this user may not enter.
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    before = (*user, *reads, "env", "--unset=HOME", "--unset=USER", "--unset=LOGNAME")
    options = ("--state", str(unknown_home / "state.db"), "--log-file", str(unknown_home / "server.log"))
    with serving(unknown_home, *options, before=before) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert "Uid:\t54321" in status
        assert server.reload("default", check_isolated=True)[0] == 200
        assert b"session.created" in server.greeting()
        server.assert_well()
    assert "Traceback" not in server.log


def test_a_full_directory_for_temporary_files_costs_nothing(tmp_path: Path) -> None:
    """Neither reloads, checks in a child process nor the state file need room there."""
    (disk := tmp_path / "tmp").mkdir()
    fill = f"mount -t tmpfs -o size=16k tmpfs {disk}\ncat /dev/zero > {disk}/ballast 2> /dev/null || true"
    script = f"{fill}\nexport TMPDIR={disk} SQLITE_TMPDIR={disk}"
    with serving(tmp_path / "home", "--state", str(tmp_path / "state.db"), before=after(script)) as server:
        for number in range(200):
            (server.directory / f"c{number}.py").write_text(character(f"Number {number}"))
        assert server.reload("default", check_isolated=True)[0] == 200
        assert len(server.names()) == 202
        assert b"session.created" in server.greeting()
    assert "No space left" not in server.log
