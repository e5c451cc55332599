"""Collection of the modules of retired builds, which are cycles of references, in short slices."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import FunctionType, ModuleType
from typing import Any
from weakref import ref

from charhost.memory.collector import collect_everything, collector_paused

# Of the interpreter itself, to move an object into the youngest generation of the collector.
_untrack = ctypes.pythonapi.PyObject_GC_UnTrack
_track = ctypes.pythonapi.PyObject_GC_Track
for _function in (_untrack, _track):
    _function.argtypes, _function.restype = [ctypes.py_object], None

# Names of a module whose values lead to the whole process, and are in none of its cycles.
_OUTSIDE = ("__builtins__", "__loader__", "__spec__")
_MOST_MEMBERS = 2_000


@dataclass(frozen=True, slots=True)
class _Retired:
    """A module of a retired build, held weakly: any collection meanwhile may free it.

    The module itself is mostly gone by then, and its namespace is there as long as a function of it.
    """

    module: ref[ModuleType]
    function: ref[FunctionType] | None

    @classmethod
    def of(cls, module: ModuleType) -> _Retired:
        function = _function_of(module)
        return cls(ref(module), None if function is None else ref(function))

    @property
    def is_there(self) -> bool:
        return self.module() is not None or (self.function is not None and self.function() is not None)

    def make_young(self) -> int:
        """Make the members of the module young, and return how many they are."""
        module, function = self.module(), self.function() if self.function is not None else None
        if module is None and function is None:
            return 0
        namespace = function.__globals__ if function is not None else vars(module)
        members = _members_of(namespace, module)
        with collector_paused():
            # No Python code runs between the two calls: it might have the object tracked, and to do so twice is fatal.
            deque(zip(map(_untrack, members), map(_track, members), strict=True), 0)
        return len(members)


class Garbage:
    """Collects the modules of retired builds: reference cycles, which only the garbage collector frees.

    By itself it would look at all objects of the process, in one pause. So the members of the cycles of a few modules
    at a time are made young again, and the youngest generation is collected, which has little else. What that does not
    free, because modules refer to each other, a full collection frees once it is as much as was last loaded, or more.
    """

    # Seconds, so that the response to the reload is sent first, and other work is done between two slices.
    _DELAY = 0.05
    _PAUSE = 0.002
    _SLICE = 200  # members
    # Modules that are left at least, before a full collection: a small set may leave one at each reload, for ever.
    _LEAST = 50

    def __init__(self) -> None:
        self._left = 0
        self._size = 0

    def collector(self, size: int) -> Callable[[list[ModuleType]], None]:
        """Return the function that a build calls with its modules when it retires; a whole set has *size* now."""
        self._size = size
        return partial(self._add, asyncio.get_running_loop())

    def _add(self, loop: asyncio.AbstractEventLoop, modules: list[ModuleType]) -> None:
        if not loop.is_closed():
            waiting = [_Retired.of(module) for module in modules]
            with suppress(RuntimeError):  # the loop is closed meanwhile
                loop.call_soon_threadsafe(loop.call_later, self._DELAY, self._collect, loop, waiting, [])

    def _collect(self, loop: asyncio.AbstractEventLoop, waiting: list[_Retired], done: list[_Retired]) -> None:
        members = 0
        while waiting and members < self._SLICE:
            done.append(waiting.pop())
            members += done[-1].make_young()
        gc.collect(0)
        if waiting:
            loop.call_later(self._PAUSE, self._collect, loop, waiting, done)
        else:
            self._collect_rest(sum(retired.is_there for retired in done))

    def _collect_rest(self, left: int) -> None:
        self._left += left
        if self._left >= max(self._size, self._LEAST):
            self._left = 0
            collect_everything()


def _members_of(namespace: dict[str, Any], module: ModuleType | None) -> list[object]:
    """Return the objects of a module that may be in its cycles: it, its namespace, and what its code has made."""
    members: list[object] = [namespace] if module is None else [namespace, module]
    seen = {*map(id, members), *(id(namespace.get(name)) for name in _OUTSIDE)}
    found: list[Any] = list(namespace.values())  # a copy: threads of the file may change it
    while found and len(members) < _MOST_MEMBERS:
        tracked = {id(one): one for one in filter(gc.is_tracked, islice(found, _MOST_MEMBERS))}
        inner = [one for key, one in tracked.items() if key not in seen and _is_of(one, namespace)]
        seen.update(tracked)
        members += inner
        found = gc.get_referents(*inner)
    return members


def _function_of(module: ModuleType) -> FunctionType | None:
    """Return a function of a module, or a method of a class of it; only functions hold the namespace of a module."""
    namespace = vars(module)
    # The newest first: a class ends most files. A copy, because threads of the file may change it.
    for value in filter(gc.is_tracked, reversed(list(namespace.values()))):
        if issubclass(type(value), type) and _is_of(value, namespace):
            candidates = [_bare(attribute) for attribute in list(_attributes_of(value).values())]
        else:
            candidates = [_bare(value)]
        for candidate in candidates:
            if type(candidate) is FunctionType and _is_of(candidate, namespace):
                return candidate
    return None


def _bare(value: object) -> object:
    """Return the function in a method of a class or of none, or in a property; else the value itself."""
    if type(value) in (staticmethod, classmethod):
        return value.__func__  # type: ignore[attr-defined]
    return value.fget if type(value) is property else value


def _is_of(found: object, namespace: dict[str, Any]) -> bool:
    """Return whether the code of a module has made an object; asks none of its own methods, which are code of files."""
    kind = type(found)
    if kind is FunctionType:
        return found.__globals__ is namespace  # type: ignore[attr-defined]
    if issubclass(kind, type):
        return _attributes_of(found).get("__module__") == namespace.get("__name__")
    return not issubclass(kind, ModuleType)


_attributes_of: Callable[[Any], dict[str, Any]] = vars(type)["__dict__"].__get__
