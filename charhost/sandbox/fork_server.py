"""A small warm process that forks a child for each job, and ends it with all processes that it started.

The sandbox starts it and sends it one job at a time over a socket; it sends back an `Ended`. It has no threads, because
it forks. Linux only: it relies on pidfds, memory files and the subreaper attribute.
"""

import ctypes
import os
import pickle
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from charhost.sandbox import child
from charhost.sandbox.descendants import children, descendants
from charhost.sandbox.trial import Ended, Job

# The first message: the deadlines of a job do not include the start of this process.
READY = b"ready"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_INTERVAL = 0.02

_STAGES = {child.PROMPTING: "asked for its prompt", child.UNLOADING: "unloaded"}

# Seconds for the child, which has the same deadlines, to notice first.
_GRACE = 1.0


def main(descriptor: int) -> None:
    """Serve jobs until the sandbox closes the socket, or its process ends."""
    libc = ctypes.CDLL(None)
    # Adopts descendants that leave the process group of the child.
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with socket.socket(fileno=descriptor) as sandbox:
        # A process that code forked from the server may hold the other end of the socket, so it stays open.
        signal.signal(signal.SIGTERM, lambda *_: sandbox.shutdown(socket.SHUT_RDWR))
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        with suppress(BrokenPipeError):
            sandbox.send(READY)
        while True:
            message, descriptors, _, _ = socket.recv_fds(sandbox, 16, 1)
            if not message:
                return
            with open(descriptors[0], "r+b", buffering=0) as file:
                ended = _run(pickle.load(file), file.fileno(), sandbox)
            with suppress(BrokenPipeError):  # the sandbox has given the job up
                sandbox.send(ended.model_dump_json().encode())


def _run(job: Job, results: int, sandbox: socket.socket) -> Ended:
    me = os.getpid()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # If a file kills this server, the child ends too.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != me:
                os._exit(70)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sandbox.close()
            os.close(read)
            child.run(job, write, results)
        finally:
            os._exit(70)
    os.close(write)
    try:
        return _Watch(job, pid, read, sandbox).ended()
    finally:
        os.close(read)
        _kill_all(pid)


@dataclass
class _Watch:
    _job: Job
    _child: int
    _steps: int
    _sandbox: socket.socket
    _step: bytes = child.LOADING
    _since: float = field(default_factory=time.monotonic)

    def ended(self) -> Ended:
        ended = os.pidfd_open(self._child)
        try:
            while True:
                sources = [self._steps, ended, self._sandbox.fileno()]
                ready, _, _ = select.select(sources, [], [], _POLL_INTERVAL)
                self._read()
                if ended in ready:
                    return self._exit()
                if self._sandbox.fileno() in ready:  # closed: the job was given up
                    return Ended(cause=None)
                if (cause := self._excess()) is not None:
                    return self._fault(cause)
        finally:
            os.close(ended)

    def _read(self) -> None:
        os.set_blocking(self._steps, False)
        with suppress(BlockingIOError):
            if steps := os.read(self._steps, 1 << 16):
                self._step, self._since = steps[-1:], time.monotonic()

    def _exit(self) -> Ended:
        if self._step == child.DONE:
            return Ended(cause=None)
        status = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOWAIT)
        assert status is not None
        if status.si_code == os.CLD_EXITED:
            return self._fault(f"it ended the process with status {status.si_status}")
        return self._fault(f"the process died of {_signal_name(status.si_status)}")

    def _fault(self, cause: str) -> Ended:
        return Ended(cause=cause, stage=_STAGES.get(self._step, "loaded"))

    def _excess(self) -> str | None:
        prompting = self._job.prompt_deadline if self._step == child.PROMPTING else None
        allowed = self._job.deadline if prompting is None else prompting
        if time.monotonic() - self._since > allowed + _GRACE:
            return f"it was not finished after {allowed:g} s"
        for orphan in set(children(os.getpid())) - {self._child}:
            os.waitpid(orphan, os.WNOHANG)  # those that have ended do not count
        if any(islice(descendants(os.getpid()), self._job.processes, None)):
            return f"it started more than {self._job.processes} processes"
        return None


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _kill_all(pid: int) -> None:
    """Kill the child's process group and all adopted descendants, and wait until none is left."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            for orphan in children(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            os.waitpid(-1, 0)
