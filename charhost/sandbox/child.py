"""Rehearsal: what a character file comes to when it is loaded and makes its prompt, in a child process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from charhost.character.instance import Persona
from charhost.character.worker_pool import Crew
from charhost.errors import PluginFailed
from charhost.loading.file_loader import Load
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Snapshot
from charhost.report import FileError
from charhost.sandbox.trial import Rehearsal, crash
from charhost.text import display

# Seconds for the processes that a file started to end by themselves.
_EXIT_GRACE = 0.3


class Stage:
    """Where files are rehearsed, one after the other; owns its process, which ends with it.

    It says on the descriptor *progress* what it is about to do, and writes to *paper* what each file came to.
    """

    def __init__(self, snapshot: Snapshot, progress: int, paper: int, memory: int) -> None:
        self._snapshot = snapshot
        self._space = ModuleSpace(snapshot)
        self._crew = Crew()
        self._progress = progress
        self._paper = paper
        self._memory = memory

    async def perform(self, paths: Sequence[str], deadline: float, prompt_deadline: float) -> None:
        """Rehearse the files at *paths*, up to the first that leaves this process in a bad state for the next."""
        for index, path in enumerate(paths):
            os.write(self._progress, b"%d\n" % index)
            rehearsal, is_spent = self._judged(path, await self._rehearse(path, deadline, prompt_deadline))
            os.write(self._paper, rehearsal.model_dump_json().encode() + b"\n")
            if is_spent:
                return

    async def _rehearse(self, path: str, deadline: float, prompt_deadline: float) -> Rehearsal:
        load = Load(self._snapshot, path, "", 0, self._space)
        (outcome,) = await self._crew.run_all([_only_here(load)], deadline)
        character = load.result(outcome)
        if isinstance(character, FileError):
            return Rehearsal(file=display(path), error=character)
        os.write(self._progress, b"prompt\n")
        try:
            return Rehearsal.of(character, await _Rehearsed(character, self._crew, prompt_deadline).prompt())
        except PluginFailed as e:
            return Rehearsal(file=display(path), name=character.name, error=e.failure)

    def _judged(self, path: str, rehearsal: Rehearsal) -> tuple[Rehearsal, bool]:
        """Add what the file did to the process; also answers whether no other file should run in it."""
        error = rehearsal.error
        if error is not None and error.error_type == "MemoryError":
            error = crash(path, f"it needs more than {self._memory:,} bytes of memory", "run")
            return rehearsal.model_copy(update={"error": error}), True
        if _something_remains():
            error = error or crash(path, "it left a process running", "run")
            return rehearsal.model_copy(update={"error": error}), True
        return rehearsal, error is not None and error.error_type == "LoadTimeout"


class _Rehearsed(Persona):
    """A persona whose code may fork."""

    async def ask(self, job: Callable[[], Any], deadline: float) -> Any:
        return await super().ask(_only_here(job), deadline)


def _only_here(job: Callable[[], Any]) -> Callable[[], Any]:
    """Keep to this process what comes after *job*, which may fork and then return in two."""
    me = os.getpid()

    def run() -> Any:
        try:
            return job()
        finally:
            if os.getpid() != me:
                os._exit(0)

    return run


def _something_remains() -> bool:
    """Say whether a process that a file started goes on, given time to end."""
    end = time.monotonic() + _EXIT_GRACE
    while any(map(_is_running, _started())):
        if time.monotonic() > end:
            return True
        time.sleep(0.01)
    return False


def _started() -> Iterator[int]:
    """Yield the children of this process, and of the one above: there come those that lost their parents."""
    for process in (os.getpid(), os.getppid()):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):  # the thread has ended
                yield from map(int, (thread / "children").read_text().split())


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
