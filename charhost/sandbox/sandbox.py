"""Load files in a child process, so that a crash or a hang does not reach this one."""

import asyncio
import os
import pickle
import secrets
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import IO

from charhost.character.diagnostics import explain
from charhost.errors import IsolatedLoadFailed
from charhost.loading.snapshot import Snapshot
from charhost.report import FileError
from charhost.sandbox.descendants import MARK, kill_marked
from charhost.sandbox.fork_server import READY
from charhost.sandbox.trial import Ended, Job, Trial, crash, read_trials
from charhost.settings import Settings, keyless_environment
from charhost.text import display

_START = "import sys; sys.path[:] = {path!r}; from charhost.sandbox.fork_server import main; main({descriptor})"

# Seconds for the fork server to end on its own.
_EXIT_GRACE = 1.0

# Files of one child when each makes its prompt: forks cost little in comparison, and progress is reported often.
_BATCH = 25

_BLIND = "what it leaves behind could not be found: /proc is not mounted here; mount it, or load without the check"
_ABOVE = Ended(cause="it ended the process above it")


class Sandbox:
    """Owns the fork server, which is started for the first check and ends with this object."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._mark = secrets.token_hex(16)

    async def check(self, snapshot: Snapshot, paths: Sequence[str]) -> None:
        """Load the files at *paths* in children; raise `IsolatedLoadFailed` with the files that crash or hang."""
        known = [path for path in paths if path in snapshot.files]
        trials = self._run(snapshot, known, len(known), None)
        if errors := [error async for trial in trials if (error := _crash_of(trial)) is not None]:
            raise IsolatedLoadFailed(tuple(errors))

    def trials(self, snapshot: Snapshot, paths: Sequence[str]) -> AsyncGenerator[Trial, None]:
        """Yield the trials of the files at *paths*, with prompts; a process left running is an error of its file."""
        return self._run(snapshot, paths, _BATCH, self._settings.prompt_deadline)

    async def _run(
        self, snapshot: Snapshot, paths: Sequence[str], most: int, prompt_deadline: float | None
    ) -> AsyncGenerator[Trial, None]:
        if not _can_find_processes():
            for path in paths:
                yield Trial(file=display(path), error=crash(path, _BLIND))
            return
        waiting = list(paths)
        while waiting:
            first = waiting[0]
            if first in snapshot.unreadable:
                error = explain(snapshot.unreadable[first], first, snapshot.location(first))
                done = [Trial(file=display(first), error=error)]
            else:
                batch = list(takewhile(lambda path: path in snapshot.files, waiting[:most]))
                ended, done = await self._try(snapshot, batch, prompt_deadline)
                if ended is None and most > 1:
                    most = 1  # a file may have done it: one at a time finds out which
                elif not done or (ended and ended.cause):
                    done = done[: len(batch) - 1]  # a file may harm the process after its trial
                    path, fault = batch[len(done)], ended if ended and ended.cause else _ABOVE
                    done.append(Trial(file=display(path), error=crash(path, fault.cause or "", fault.stage)))
            for trial in done:
                yield trial
            waiting = waiting[len(done) :]

    async def _try(
        self, snapshot: Snapshot, paths: Sequence[str], prompt_deadline: float | None
    ) -> tuple[Ended | None, list[Trial]]:
        """Return how the child ended and its trials; None if the fork server ended or does not respond."""
        job = Job(
            directory=str(snapshot.directory),
            sources={path: file.data for path, file in snapshot.files.items()},
            paths=tuple(paths),
            deadline=self._settings.file_deadline,
            memory=self._settings.isolated_memory,
            processes=self._settings.isolated_processes,
            prompt_deadline=prompt_deadline,
        )
        with open(os.memfd_create("charhost-job"), "w+b") as file:  # noqa: ASYNC230 (memory)
            pickle.dump(job, file, protocol=pickle.HIGHEST_PROTOCOL)
            file.seek(0)
            ended = await self._send(file, len(paths) * (2 * job.deadline + (prompt_deadline or 0) + 3))
            file.seek(0)
            return ended, read_trials(file.read())[: len(paths)]

    async def close(self) -> None:
        self._hang_up()
        if self._process is None:
            return
        try:
            status = await asyncio.wait_for(self._process.wait(), _EXIT_GRACE)
        except TimeoutError:  # a file has stopped it
            with suppress(ProcessLookupError):
                self._process.kill()
            status = await self._process.wait()
        self._process = None
        if status != 0:  # it has ended none of its descendants
            await kill_marked(self._mark)

    def _hang_up(self) -> None:
        if self._socket is not None:
            # Not only closed: a process that code forked from this one may hold it, too.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    async def _send(self, file: IO[bytes], most_seconds: float) -> Ended | None:
        server = self._socket or await self._start()
        reply = b""
        try:
            with suppress(ConnectionError, TimeoutError):
                socket.send_fds(server, [b"job"], [file.fileno()])
                async with asyncio.timeout(most_seconds):
                    reply = await asyncio.get_running_loop().sock_recv(server, 1 << 16)
        finally:
            if not reply:  # it has ended, or it is busy with a job that was given up
                self._hang_up()
        if not reply:
            await self.close()
            return None
        return Ended.model_validate_json(reply)

    async def _start(self) -> socket.socket:
        await self.close()  # the one before may still be busy
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _START.format(path=sys.path, descriptor=theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=keyless_environment() | {MARK: self._mark},
                start_new_session=True,  # Ctrl-C is for the server
            )
        try:
            if not await asyncio.get_running_loop().sock_recv(ours, len(READY)):
                raise RuntimeError("the process that checks files ended before its first job")
        except BaseException:
            ours.close()
            raise
        self._socket = ours
        return ours


def _can_find_processes() -> bool:
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _crash_of(trial: Trial) -> FileError | None:
    """Return the error of a file that would crash or hang a process; other errors are those of an ordinary load."""
    error = trial.error
    if error is not None and error.error_type == "LoadTimeout":
        return crash(trial.file, f"it was {error.message}")
    return error if error is not None and error.error_type == "Crash" else None
