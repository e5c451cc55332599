"""Signals sent to a real server process, in a terminal and without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ENVIRONMENT, PATIENCE, BlockingServer, free_port, good_files, wait_for


def triggers(server: BlockingServer) -> list[str]:
    """Return the triggers of the reloads of a server, the latest first."""
    return [report["trigger"] for report in server.get("/v1/characters/reloads")[1]["reloads"]]


def test_sighup_reloads(own_server: BlockingServer) -> None:
    """The current directory is loaded again, with the trigger `signal`, and the server stays."""
    (own_server.directory / "bob.py").write_text((own_server.directory / "ada.py").read_text().replace("Ada", "Bob"))
    own_server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: triggers(own_server)[0] == "signal")
    assert own_server.names() == ["Ada", "Bob", "Zoe"]


def test_sighup_during_a_reload_waits_for_its_turn(own_server: BlockingServer) -> None:
    """Many signals at once are no harm."""
    for _ in range(20):
        own_server.process.send_signal(signal.SIGHUP)
    own_server.assert_well()


def test_refused_reload_of_sighup_is_logged(own_server: BlockingServer) -> None:
    """SIGHUP with a missing directory leaves the characters serving, and logs the reason in one line."""
    for file in own_server.directory.iterdir():
        file.unlink()
    own_server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "SIGHUP: " in own_server.log)
    assert own_server.names() == ["Ada", "Zoe"]


def test_sigusr1_logs_the_state(own_server: BlockingServer) -> None:
    """The log has the status as JSON and the stacks of all threads; the server stays."""
    own_server.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: "stacks of all threads" in own_server.log)
    assert '"serving":{"generation":1' in own_server.log
    assert "MainThread:" in own_server.log
    own_server.assert_well()


def test_sighup_that_was_ignored_stays_ignored(tmp_path: Path) -> None:
    """Under nohup the signal does nothing."""
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "charhost", "serve", "--directory", str(good_files(tmp_path / "good"))]
    with (
        open(log, "wb") as output,
        subprocess.Popen(
            ["nohup", *command, "--port", port], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=ENVIRONMENT
        ) as process,
    ):
        wait_for(lambda: b"listens on" in log.read_bytes())
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: b"stacks of all threads" in log.read_bytes())
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert b"trigger signal" not in log.read_bytes()
    assert log.read_bytes().count(b'"trigger":"signal"') == 0


def test_a_terminal_that_goes_ends_the_server_in_order(tmp_path: Path) -> None:
    """A server that is started in a terminal stops as it does for SIGTERM when the terminal is closed."""
    log, (terminal, side) = tmp_path / "server.log", os.openpty()
    command = [sys.executable, "-m", "charhost", "serve", "--directory", str(good_files(tmp_path / "good"))]
    options = ["--port", free_port(), "--log-file", str(log)]
    with subprocess.Popen(
        ["setsid", "--ctty", *command, *options], stdin=side, stdout=side, stderr=side, env=ENVIRONMENT
    ) as process:
        os.close(side)
        wait_for(lambda: log.exists() and b"listens on" in log.read_bytes())
        os.close(terminal)
        assert process.wait(PATIENCE) == 0
    assert b"the terminal has gone" in log.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_server_at_once(own_server: BlockingServer, number: signal.Signals) -> None:
    """A reload that holds up the shutdown is not waited for when the signal comes twice."""
    (own_server.directory / "slow.py").write_text("import time\ntime.sleep(20)\n")
    own_server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: own_server.get("/v1/characters/status")[1]["in_progress"] is not None)
    own_server.process.send_signal(number)
    wait_for(lambda: not own_server.answers())
    own_server.process.send_signal(number)
    assert own_server.process.wait(PATIENCE) in (0, -number)
    assert "Traceback" not in own_server.log
