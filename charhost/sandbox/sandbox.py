"""Load files in a child process: what kills or hangs it never reaches whoever asked."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import IO

from pydantic_core import from_json

from charhost.character.diagnostics import explain
from charhost.errors import IsolatedLoadFailed
from charhost.loading.snapshot import Snapshot
from charhost.sandbox.job import Job, Verdict
from charhost.sandbox.trial import Rehearsal, crash, read
from charhost.settings import Settings, environment_without_keys
from charhost.text import display

_START = "import sys; sys.path[:] = {path!r}; from charhost.sandbox.fork_server import main; main({descriptor})"

# Seconds for that process to end by itself.
_EXIT_GRACE = 1.0

# So many files are rehearsed in one child: its forking costs little beside them, and whoever waits is told often.
_AT_A_TIME = 25

_ABOVE = Verdict(0, "it ended the process above it")


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
            with _paper(self._job(snapshot, waiting[:most])) as paper:
                verdict = await self._judge(paper)
            if verdict is None and most > 1:
                most = 1  # perhaps a file did it: from here on one at a time, so that it can be named
                continue
            verdict = verdict or _ABOVE
            if verdict.culprit is not None:
                errors.append(crash(waiting[verdict.culprit], verdict.cause))
            waiting = waiting[most if verdict.culprit is None else verdict.culprit + 1 :]
        if errors:
            raise IsolatedLoadFailed(tuple(errors))

    async def rehearse(self, snapshot: Snapshot, paths: Sequence[str]) -> AsyncGenerator[Rehearsal, None]:
        """Load the files at *paths* and have them make their prompts, in children; yields what each came to, in order.

        Besides what `check` finds, a process that a file leaves running is an error of that file.
        """
        waiting, most = list(paths), _AT_A_TIME
        while waiting:
            if waiting[0] in snapshot.unreadable:
                done = [_unreadable(snapshot, waiting[0])]
            else:
                batch = list(takewhile(lambda path: path in snapshot.files, waiting[:most]))
                done, is_known = await self._perform(snapshot, batch, most == 1)
                most = most if is_known else 1
            for rehearsal in done:
                yield rehearsal
            waiting = waiting[len(done) :]

    async def _perform(
        self, snapshot: Snapshot, paths: Sequence[str], is_last_word: bool
    ) -> tuple[list[Rehearsal], bool]:
        """Rehearse some files in one child; also answers whether it is known how that ended."""
        with _paper(self._job(snapshot, paths, self._settings.prompt_deadline)) as paper:
            verdict = await self._judge(paper, self._patience(len(paths)))
            paper.seek(0)
            done = read(paper.read())[: len(paths)]
        if verdict is None and not is_last_word:
            return done, False
        if verdict is not None and verdict.culprit is None and done:
            return done, True
        found = _ABOVE if verdict is None or verdict.culprit is None else verdict
        done = done[: found.culprit]
        error = crash(paths[len(done)], found.cause, found.stage)
        return [*done, Rehearsal(file=error.file, error=error)], True

    def _patience(self, files: int) -> float:
        """How long so many files may take, when each uses all of its time."""
        return files * (self._settings.file_deadline + self._settings.prompt_deadline + 3)

    async def close(self) -> None:
        """End the process and with it what it may be running."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), _EXIT_GRACE)
            except TimeoutError:  # a file has stopped it
                self._process.kill()
                await self._process.wait()
            self._process = None

    async def _judge(self, paper: IO[bytes], patience: float | None = None) -> Verdict | None:
        """Have the job on *paper* done in one child; None if the process that forks it ended, or does not answer."""
        server = self._socket or await self._start()
        answer = b""
        try:
            socket.send_fds(server, [b"job"], [paper.fileno()])
            async with asyncio.timeout(patience):
                answer = await asyncio.get_running_loop().sock_recv(server, 1 << 16)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            if not answer:  # it ended; or, if this was cancelled, it is busy with what nobody waits for
                server.close()
                self._socket = None
        return Verdict(**from_json(answer)) if answer else None

    def _job(self, snapshot: Snapshot, paths: Sequence[str], prompt_deadline: float | None = None) -> Job:
        settings = self._settings
        return Job(
            str(snapshot.directory),
            {path: file.data for path, file in snapshot.files.items()},
            tuple(paths),
            settings.file_deadline,
            settings.isolated_memory,
            settings.isolated_processes,
            prompt_deadline,
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


@contextmanager
def _paper(job: Job) -> Iterator[IO[bytes]]:
    """Write a job to a memory file, to be handed over: it may be as large as the directory."""
    with open(os.memfd_create("charhost-job"), "w+b") as file:
        pickle.dump(job, file, protocol=pickle.HIGHEST_PROTOCOL)
        file.flush()
        file.seek(0)
        yield file


def _unreadable(snapshot: Snapshot, path: str) -> Rehearsal:
    error = explain(snapshot.unreadable[path], path, str(snapshot.directory / path))
    return Rehearsal(file=display(path), error=error)
