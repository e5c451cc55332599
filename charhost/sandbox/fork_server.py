"""A small warm process that forks a child for each check, and buries it with everything it started.

The server starts it and sends it one job at a time over a socket; it answers with a verdict. It has no threads, because
it forks. Linux only: it relies on pidfds, memory files and the subreaper attribute.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import pickle
import resource
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from charhost.loading.file_loader import Load
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.report import FileError
from charhost.sandbox.child import Stage
from charhost.sandbox.job import Job, Verdict

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK = 0.02

# Seconds for a stage, which has deadlines of its own, to be the first to notice.
_GRACE = 1.0


def main(descriptor: int) -> None:
    """Serve jobs until the server closes the socket."""
    # Whatever a child's descendants do to leave its process group, here they come when their parents have ended.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with socket.socket(fileno=descriptor) as server:
        while True:
            message, descriptors, _, _ = socket.recv_fds(server, 16, 1)
            if not message:
                return
            with open(descriptors[0], "r+b", buffering=0) as file:
                job: Job = pickle.load(file)
                verdict = json.dumps(asdict(_run(job, file.fileno(), server))).encode()
            with suppress(BrokenPipeError):  # nobody waits for it any more
                server.send(verdict)


def _run(job: Job, paper: int, server: socket.socket) -> Verdict:
    me = os.getpid()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Killed by a file, this process could not bury its child.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != me:
                os._exit(70)
            server.close()
            os.close(read)
            _perform(job, write, paper)
        finally:
            os._exit(70)
    os.close(write)
    try:
        return _Watch(job, child, read, server).verdict()
    finally:
        os.close(read)
        _bury(child)


def _perform(job: Job, progress: int, paper: int) -> None:
    """In the child: do what the job says, telling how far it came; ends the process."""
    _confine(job)
    files = {path: SourceFile.of(path, os.path.join(job.directory, path), data) for path, data in job.sources.items()}
    snapshot = Snapshot(Path(job.directory), files)
    if job.prompt_deadline is None:
        _load(job, snapshot, progress)
    else:
        os.truncate(paper, 0)
        os.lseek(paper, 0, os.SEEK_SET)
        stage = Stage(snapshot, progress, paper, job.memory)
        asyncio.run(stage.perform(job.paths, job.deadline, job.prompt_deadline))
    os.write(progress, b"end\n")
    os._exit(0)


def _confine(job: Job) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    for limit, most in ((resource.RLIMIT_AS, job.memory), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))


def _load(job: Job, snapshot: Snapshot, progress: int) -> None:
    """Load one file after the other."""
    space = ModuleSpace(snapshot)
    me = os.getpid()
    for index, path in enumerate(job.paths):
        os.write(progress, b"%d\n" % index)
        result = Load(snapshot, path, "", 0, space)()
        if os.getpid() != me:  # the file forked, and this is its child
            os._exit(0)
        if isinstance(result, FileError) and result.error_type == "MemoryError":
            os.write(progress, b"memory\n")
            os._exit(0)


class _Watch:
    """Follows one child through its job."""

    def __init__(self, job: Job, child: int, progress: int, server: socket.socket) -> None:
        self._job = job
        self._child = child
        self._progress = progress
        self._server = server
        self._pending = b""
        self._line = "0"
        self._since = time.monotonic()
        self._index = 0

    def verdict(self) -> Verdict:
        """Wait until the child has ended, or has to be ended."""
        ended = os.pidfd_open(self._child)
        try:
            while True:
                sources = [self._progress, ended, self._server.fileno()]
                ready, _, _ = select.select(sources, [], [], _LOOK)
                self._read()
                if ended in ready:
                    return self._ended()
                if self._server.fileno() in ready:  # closed: nobody waits for an answer
                    return Verdict(None, "")
                if (cause := self._excess()) is not None:
                    return self._guilty(cause)
        finally:
            os.close(ended)

    def _read(self) -> None:
        os.set_blocking(self._progress, False)
        with suppress(BlockingIOError):
            self._pending += os.read(self._progress, 1 << 16)
        *lines, self._pending = self._pending.split(b"\n")
        for line in lines:
            self._line = line.decode("ascii", "replace")
            self._since = time.monotonic()
            if self._line.isdigit() and int(self._line) < len(self._job.paths):
                self._index = int(self._line)

    def _ended(self) -> Verdict:
        status = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOWAIT)
        if self._line == "memory":
            return self._guilty(f"it needs more than {self._job.memory:,} bytes of memory")
        if self._line == "end":
            return Verdict(None, "")
        assert status is not None
        if status.si_code == os.CLD_EXITED:
            return self._guilty(f"it ended the process with status {status.si_status}")
        return self._guilty(f"the process died of {_signal_name(status.si_status)}")

    def _guilty(self, cause: str) -> Verdict:
        return Verdict(self._index, cause, "asked for its prompt" if self._line == "prompt" else "loaded")

    def _excess(self) -> str | None:
        job, allowed = self._job, self._job.deadline
        if self._line == "prompt" and job.prompt_deadline is not None:
            allowed = job.prompt_deadline
        grace = 0 if job.prompt_deadline is None else _GRACE
        if time.monotonic() - self._since > allowed + grace:
            return f"it was not finished after {allowed:g} s"
        if _group_size(self._child, self._job.processes) > self._job.processes:
            return f"it started more than {self._job.processes} processes"
        return None


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _group_size(group: int, most: int) -> int:
    """Count the processes of a group, as far as *most* and one more."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # it has ended
                count += os.getpgid(int(name)) == group
        if count > most:
            break
    return count


def _bury(child: int) -> None:
    """Kill the child's process group and whatever left it, and wait until nothing is left."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            for orphan in _children():
                with suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
