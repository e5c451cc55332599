"""Processes of servers: forked from one that has imported charhost, or with an interpreter of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

from charhost import cli
from tests import tapped

# Most of the processor time of a start is that of imports, and so is most of that of a first request.
_IMPORTED = (
    "charhost.character.tool_schema",
    "charhost.cli.logs",
    "charhost.cli.serve",
    "charhost.llm.offline.model",
    "charhost.web.completions.handler",
    "charhost.web.inspection",
    "charhost.web.monitoring",
    "charhost.web.realtime.handler",
    "charhost.web.reload",
    "charhost.web.responses.handler",
    "charhost.web.serve",
)
# The exit status of a command that returns, which it never does.
NOT_ENDED = 70

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, *_IMPORTED])


class ServerProcess(Protocol):
    """What tests use of a `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start_server(
    *options: str, output: Path, environment: Mapping[str, str], before: Sequence[str] = (), python: str = ""
) -> ServerProcess:
    """Start `charhost serve` with its *output* in a file.

    It is forked, unless it has an interpreter of its own: *python*, or this one behind the command *before* it.
    """
    output.write_bytes(b"")
    if not (before or python) and hasattr(os, "pidfd_open"):
        return Forked(("charhost", "serve", *options), output, environment)
    python = python or sys.executable
    has_tests = python == sys.executable  # an environment with a wheel has none
    program = "tests.tapped" if has_tests and tapped.FOLDER in environment else "charhost"
    command = [*before, python, "-m", program, "serve", *options]
    with output.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)


class Forked:
    """A command in a process that is forked from the one with the imports."""

    def __init__(self, arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> None:
        self._process = _context.Process(target=_run, args=(arguments, output, dict(environment)), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        # The number may be given to another process as soon as this one has ended.
        self._descriptor = os.pidfd_open(self.pid)
        self._reading = threading.Lock()

    def __del__(self) -> None:
        os.close(self._descriptor)

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        with self._reading:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status at the end of the process; raise `subprocess.TimeoutExpired` if that does not come."""
        status = self.poll() if wait([self._process.sentinel], timeout) else None
        if status is None:
            raise subprocess.TimeoutExpired("charhost serve", timeout or 0)
        return status

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, sig)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> None:
    """Run a command of charhost as `python -m charhost` does."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(arguments)
    with open(os.devnull, "rb") as nothing, output.open("ab") as file:
        for source, descriptor in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(source.fileno(), descriptor)
    try:
        if tapped.FOLDER in os.environ:
            tapped.main()
        cli.main()
    finally:
        os._exit(NOT_ENDED)  # the command has to end the process itself, past what a character left behind
