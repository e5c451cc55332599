"""Load files in a child process first: what kills or hangs it never reaches the server."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
from collections.abc import Sequence

from pydantic_core import from_json

from charhost.errors import IsolatedLoadFailed
from charhost.report import FileError
from charhost.settings import Settings, environment_without_keys
from charhost.snapshot import Snapshot
from charhost.text import display
from charhost.zygote import Job, Verdict

_START = "import sys; sys.path[:] = {path!r}; from charhost.zygote import main; main({descriptor})"

# Seconds for that process to end by itself.
_PATIENCE = 1.0


class Isolation:
    """Owns the process that forks the children; it is started for the first check and ends with the server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def check(self, snapshot: Snapshot, paths: Sequence[str]) -> None:
        """Load the files at *paths* in children; raises `IsolatedLoadFailed`, which names each culprit."""
        waiting = [path for path in paths if path in snapshot.files]
        errors = []
        most = len(waiting)
        while waiting:
            verdict = await self._judge(snapshot, waiting[:most])
            if verdict is None and most > 1:
                most = 1  # perhaps a file did it: from here on one at a time, so that it can be named
                continue
            verdict = verdict or Verdict(0, "it ended the process above it")
            if verdict.culprit is not None:
                errors.append(_crash(waiting[verdict.culprit], verdict.cause))
            waiting = waiting[most if verdict.culprit is None else verdict.culprit + 1 :]
        if errors:
            raise IsolatedLoadFailed(tuple(errors))

    async def close(self) -> None:
        """End the process and with it what it may be running."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), _PATIENCE)
            except TimeoutError:  # a file has stopped it
                self._process.kill()
                await self._process.wait()
            self._process = None

    async def _judge(self, snapshot: Snapshot, paths: Sequence[str]) -> Verdict | None:
        """Have the files loaded in one child; None if the process that forks it ended."""
        server = self._socket or await self._start()
        answer = b""
        try:
            _send(server, self._job(snapshot, paths))
            answer = await asyncio.get_running_loop().sock_recv(server, 1 << 16)
        except ConnectionError:
            pass
        finally:
            if not answer:  # it ended; or, if this was cancelled, it is busy with what nobody waits for
                server.close()
                self._socket = None
        return Verdict(**from_json(answer)) if answer else None

    def _job(self, snapshot: Snapshot, paths: Sequence[str]) -> Job:
        settings = self._settings
        return Job(
            str(snapshot.directory),
            {path: file.data for path, file in snapshot.files.items()},
            tuple(paths),
            settings.file_deadline,
            settings.isolated_memory,
            settings.isolated_processes,
        )

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
                env=environment_without_keys(),
                start_new_session=True,  # Ctrl-C is for the server
            )
        self._socket = ours
        return ours


def _send(server: socket.socket, job: Job) -> None:
    """Hand a job over in a memory file: it may be as large as the directory."""
    with open(os.memfd_create("charhost-job"), "w+b") as file:
        pickle.dump(job, file, protocol=pickle.HIGHEST_PROTOCOL)
        file.flush()
        file.seek(0)
        socket.send_fds(server, [b"job"], [file.fileno()])


def _crash(path: str, cause: str) -> FileError:
    message = f"loaded in a child process, {cause}"
    return FileError(file=display(path), error_type="Crash", exception="Crash", message=message)
