"""A child process that loads files under limits, has each character make its prompt, and unloads it."""

import asyncio
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from charhost.character.instance import CharacterInstance
from charhost.errors import PluginFailed
from charhost.loading.module_space import Load, ModuleSpace, Version
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.report import FileError
from charhost.sandbox.trial import Job, Trial, crash
from charhost.text import display
from charhost.threads.worker_pool import WorkerPool

T = TypeVar("T")

# Steps of a trial, as the child announces them to the fork server.
LOADING, PROMPTING, UNLOADING, DONE = b"L", b"P", b"U", b"D"

# Seconds for the processes that a file started to end on their own.
_EXIT_GRACE = 0.3


def run(job: Job, steps: int, results: int) -> None:
    """Write a trial of each file of *job* to *results* and end the process; announce each step on *steps*."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    for limit, most in ((resource.RLIMIT_AS, job.memory), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    os.truncate(results, 0)
    os.lseek(results, 0, os.SEEK_SET)
    asyncio.run(_Trials(job, steps, results).run())
    os.write(steps, DONE)
    os._exit(0)


class _Trials:
    def __init__(self, job: Job, steps: int, results: int) -> None:
        root = Path(job.directory)
        self._job = job
        self._snapshot = Snapshot(root, {p: SourceFile.of(p, str(root / p), data) for p, data in job.sources.items()})
        self._space = ModuleSpace(self._snapshot)
        self._pool = _ForkingPool()
        self._steps = steps
        self._results = results

    async def run(self) -> None:
        """Try the files up to the first that leaves this process in a bad state for the next."""
        for path in self._job.paths:
            trial, fault = await self._unloaded(path, await self._try(path)), None
            kind = trial.error.error_type if trial.error else None
            if kind == "MemoryError":
                fault = f"it needs more than {self._job.memory:,} bytes of memory"
            elif self._job.prompt_deadline is not None and _has_descendants():
                fault = "it left a process running"
            if fault is not None and kind in (None, "MemoryError"):
                trial = trial.model_copy(update={"error": crash(path, fault, "run")})
            os.write(self._results, trial.model_dump_json().encode() + b"\n")
            if fault is not None or kind == "LoadTimeout":
                return

    async def _try(self, path: str) -> Trial:
        os.write(self._steps, LOADING)
        load = Load(Version(self._space, path), "", 0)
        (outcome,) = await self._pool.run_all([load], self._job.deadline)
        character = load.result(outcome)
        if isinstance(character, FileError):
            return Trial(file=display(path), error=character)
        if self._job.prompt_deadline is None:
            return Trial.of(character, "")
        os.write(self._steps, PROMPTING)
        try:
            prompt = await CharacterInstance(character, self._pool, self._job.prompt_deadline).prompt()
            return Trial.of(character, prompt)
        except PluginFailed as e:
            return Trial(file=display(path), name=character.name, error=e.failure)

    async def _unloaded(self, path: str, trial: Trial) -> Trial:
        """Return the trial with the error of `on_unload`, if it has no other."""
        unload = self._space.unload(path, self._job.deadline)
        if unload is None:
            return trial
        os.write(self._steps, UNLOADING)
        (outcome,) = await self._pool.run_all([unload], self._job.deadline)
        self._space.forget(path)  # a file that imports it needs one that is not unloaded
        failure = unload.result(outcome)
        if failure is None or trial.error:
            return trial
        failure = failure.model_copy(update={"message": f"on_unload failed: {failure.message}"})
        return trial.model_copy(update={"error": failure})


class _ForkingPool(WorkerPool):
    """A pool whose jobs may fork: the processes that return from a job, besides this one, are ended."""

    async def run(self, job: Callable[[], T], deadline: float, owner: str = "", *, interrupt: bool = True) -> T:
        return await super().run(partial(_run_in, os.getpid(), job), deadline, owner, interrupt=interrupt)

    async def run_all(
        self, jobs: Sequence[Callable[[], Any]], deadline: float, owners: Sequence[str] = ()
    ) -> list[Any]:
        return await super().run_all([partial(_run_in, os.getpid(), job) for job in jobs], deadline, owners)


def _run_in(process: int, job: Callable[[], T]) -> T:
    try:
        return job()
    finally:
        if os.getpid() != process:
            os._exit(0)


def _has_descendants() -> bool:
    end = time.monotonic() + _EXIT_GRACE
    # In this order: a process whose parent ends is found here before that, and at the fork server afterwards.
    while _has_running_children() or any(map(_is_running, _adopted())):
        if time.monotonic() > end:
            return True
        time.sleep(0.01)
    return False


def _has_running_children() -> bool:
    # `/proc` lists children by thread; those of a thread that ends during the reading would be missed.
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
        return True
    return False


def _adopted() -> Iterator[int]:
    """Yield the children of the fork server, which adopts those whose parents have ended."""
    parent = os.getppid()
    with suppress(OSError):  # the fork server has ended
        yield from map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())


def _is_running(process: int) -> bool:
    with suppress(OSError):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return process != os.getpid() and state not in ("Z", "X")
    return False
