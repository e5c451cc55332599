"""The end of versions of character files: their `on_unload`, and the threads and tasks that they have left running."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from types import CoroutineType
from typing import Any
from weakref import WeakValueDictionary, ref

from charhost.errors import LoadTimeout
from charhost.loading.module_space import ModuleSpace, Unload, Version
from charhost.report import FileError, LeftRunning
from charhost.text import display
from charhost.threads.worker_pool import WorkerPool

log = logging.getLogger("charhost.reload")

# Seconds for a thread to end that was asked to, or whose executor has gone, before it is logged.
_GRACE = 1.0
# Versions that are ended in one turn of the event loop.
_MOST_AT_ONCE = 250
# Seconds after the deadline of a shutdown: the error at a deadline, which has the place, comes first.
_LATE = 0.2


class Unloading:
    """Ends each version of a character file that nothing holds any more. Lives as long as the application.

    Each executed file is unloaded once: with its version or, if it has none because only others have imported it, after
    the last version of its build. All this happens in the event loop, whichever thread has dropped the last reference:
    a deadline may interrupt that thread at any step of Python code.
    """

    def __init__(self, pool: WorkerPool, deadline: float) -> None:
        self._pool = pool
        self._deadline = deadline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._builds: dict[ModuleSpace, _Build] = {}
        self._gone: deque[_Reference] = deque()
        self._is_woken = False
        self._calls: set[asyncio.Task[None]] = set()
        self._ends_at: float | None = None
        self._left: list[_Left] = []

    def open(self, space: ModuleSpace, path: str, owner: object = None) -> Version:
        """Return the version of the file at *path* in a build of *owner*; it ends when nothing holds it."""
        self._loop = asyncio.get_running_loop()
        version = Version(space, path)
        wake = ref(version, self._wake)
        # The newest reference is called first; and `append` is no Python code, so nothing can interrupt it.
        reference = _Reference(version, self._gone.append)
        build = self._builds.get(space) or self._builds.setdefault(space, _Build(owner))
        build.references += [reference, wake]
        build.open.add(path)
        if self._gone:  # a wake-up was interrupted
            self._end_gone()
        return version

    def left_running(self, owner: object = None) -> tuple[LeftRunning, ...]:
        """Return the threads that run although the version that started them has ended, and the tasks in them."""
        self._left = [left for left in self._left if left.running]
        return tuple(one for left in self._left if left.owner is owner for one in left.described)

    async def close(self, deadline: float) -> None:
        """Unload every version, whatever holds it, all side by side, for at most *deadline* seconds."""
        loop = asyncio.get_running_loop()
        self._ends_at = loop.time() + deadline
        for call in self._calls:
            loop.call_at(self._ends_at + _LATE, call.cancel)
        for space, build in list(self._builds.items()):
            self._end(space, list(build.open))
        while self._calls:
            await asyncio.wait(self._calls)
        for left in self._left:
            left.log()

    def _wake(self, _: object) -> None:
        if self._loop is not None and not self._is_woken:
            self._is_woken = True  # before the call: the event loop may be quicker than this thread
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._end_gone)

    def _end_gone(self) -> None:
        self._is_woken = False
        gone: dict[ModuleSpace, list[str]] = {}
        for _ in range(min(len(self._gone), _MOST_AT_ONCE)):
            reference = self._gone.popleft()
            gone.setdefault(reference.space, []).append(reference.path)
        if self._gone:  # a retired set has thousands
            self._wake(None)
        for space, paths in gone.items():
            self._end(space, paths)

    def _end(self, space: ModuleSpace, paths: Iterable[str]) -> None:
        """End files of a build, those with an `on_unload` after the call of it."""
        build = self._builds.get(space)
        if build is None:
            return
        due = [path for path in paths if path not in build.begun]
        build.begun.update(due)
        build.open.update(due)
        unloads = {path: space.unload(path, self._seconds) for path in due}
        self._start([unload for unload in unloads.values() if unload is not None])
        for path, unload in unloads.items():
            if unload is None:
                self._finish(space, path)

    @property
    def _seconds(self) -> float:
        if self._ends_at is None:
            return self._deadline
        return max(0, self._ends_at - asyncio.get_running_loop().time())

    def _start(self, unloads: list[Unload]) -> None:
        # One batch uses few threads; in one each, they all run side by side.
        batches = [unloads] if self._ends_at is None else [[unload] for unload in unloads]
        for batch in filter(None, batches):
            call = asyncio.create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            if self._ends_at is not None:
                asyncio.get_running_loop().call_at(self._ends_at + _LATE, call.cancel)

    async def _call(self, unloads: Sequence[Unload]) -> None:
        outcomes: list[Any]
        try:
            outcomes = await self._pool.run_all(unloads, self._seconds, [unload.owner for unload in unloads])
        except asyncio.CancelledError:
            outcomes = [LoadTimeout("not finished when the server ended")] * len(unloads)
        for unload, outcome in zip(unloads, outcomes, strict=True):
            self._finish(unload.space, unload.path, unload.result(outcome))

    def _finish(self, space: ModuleSpace, path: str, failure: FileError | None = None) -> None:
        if failure is not None:
            log.warning("on_unload failed: %s\n%s", failure, failure.traceback or "")
        space.end(path)
        build = self._builds[space]
        if (threads := space.threads(path)) is not None:
            self._note_left(_Left(path, threads, build.owner))
        build.open.discard(path)
        if not build.open and (rest := space.unended - build.begun):
            self._end(space, rest)
        elif not build.open:
            del self._builds[space]

    def _note_left(self, left: _Left) -> None:
        if left.running:
            self._left.append(left)
            asyncio.get_running_loop().call_later(_GRACE, left.log)


@dataclass(eq=False)
class _Build:
    """The files of a build that have not ended yet, and those whose end has begun."""

    owner: object
    references: list[ref[Version]] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)


class _Reference(ref[Version]):
    """A weak reference to a version that knows which one it was."""

    space: ModuleSpace
    path: str

    def __new__(cls, version: Version, callback: Any) -> _Reference:
        self = super().__new__(cls, version, callback)
        self.space, self.path = version.space, version.path
        return self


@dataclass(eq=False)
class _Left:
    """The threads that a version which has ended may have left running."""

    path: str
    threads: WeakValueDictionary[int, Thread]
    owner: object
    is_logged: bool = False

    @property
    def running(self) -> list[Thread]:
        threads = [reference() for reference in self.threads.valuerefs()]
        return [thread for thread in threads if thread is not None and Thread.is_alive(thread)]

    @property
    def described(self) -> Iterator[LeftRunning]:
        for thread in self.running:
            yield LeftRunning(file=self.path, kind="thread", name=display(_attribute(thread, "name")))
            for task in _tasks_in(thread):
                yield LeftRunning(file=self.path, kind="task", name=_described(task))

    def log(self) -> None:
        """Log the threads that run, once."""
        found = ", ".join(f"{one.kind} {one.name}" for one in self.described)
        if found and not self.is_logged:
            self.is_logged = True
            log.warning("%s left running: %s", display(self.path), found)


def _attribute(thread: Thread, name: str) -> Any:
    # Past what a class of the file makes of it: this is the thread of the server.
    return vars(Thread)[name].__get__(thread)


def _tasks_in(thread: Thread) -> set[asyncio.Task[Any]]:
    """Return the tasks of the event loop that runs in a thread."""
    for frame, _ in traceback.walk_stack(sys._current_frames().get(_attribute(thread, "ident"))):
        if frame.f_code is asyncio.BaseEventLoop.run_forever.__code__:
            return asyncio.all_tasks(frame.f_locals["self"])
    return set()


def _described(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    name = f" ({coroutine.__qualname__})" if isinstance(coroutine, CoroutineType) else ""
    return display(task.get_name() + name)
