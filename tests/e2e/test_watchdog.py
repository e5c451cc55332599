"""A server process whose event loop stands still."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, PATIENCE, free_port, wait_for

# One call of C code that never ends, and so never releases the interpreter lock.
HOLDS_THE_LOCK = "import itertools\n" + character("Ada") + "\n\nsum(itertools.repeat(1))\n"


@contextmanager
def serving(directory: Path, log: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a directory in a process of its own, with a watchdog of one second."""
    command = [sys.executable, "-m", "charhost", "serve", "--directory", str(directory), "--port", str(free_port())]
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "INVOCATION_ID"} | variables
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--watchdog", "1", *options], env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A directory with a file that never gives the interpreter lock back."""
    directory = tmp_path / "characters"
    directory.mkdir()
    (directory / "ada.py").write_text(HOLDS_THE_LOCK)
    return directory


def test_supervised_server_is_ended(stuck: Path, tmp_path: Path) -> None:
    """Under systemd the stacks are written, with the file and line, and the server ends to be started again."""
    log = tmp_path / "log"
    with serving(stuck, log, INVOCATION_ID="1") as process:
        assert process.wait(PATIENCE) == 1
    assert 'ada.py", line' in log.read_text()


def test_other_servers_write_only(stuck: Path, tmp_path: Path) -> None:
    """Where nothing starts the server again, it is not ended."""
    log = tmp_path / "log"
    with serving(stuck, log) as process:
        wait_for(lambda: 'ada.py", line' in log.read_text())
        assert process.poll() is None


def test_quiet_server_is_left_alone(directory: Path, tmp_path: Path) -> None:
    """A server whose loop runs tells the service manager so again and again, and is not ended."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(PATIENCE)
        log = tmp_path / "log"
        with serving(directory, log, INVOCATION_ID="1", NOTIFY_SOCKET=str(address)) as process:
            assert [manager.recv(100) for _ in range(10)] == [b"WATCHDOG=1"] * 10
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    assert "most recent call first" not in log.read_text()


def test_no_watchdog(stuck: Path, tmp_path: Path) -> None:
    """With `--watchdog 0` nothing is written and nothing is ended."""
    log = tmp_path / "log"
    with (
        serving(stuck, log, "--watchdog", "0", INVOCATION_ID="1") as process,
        pytest.raises(subprocess.TimeoutExpired),
    ):
        process.wait(4)
    assert "ada.py" not in log.read_text()
