"""The public names of modules: `characters.x` in `sys.modules` means module x of the build whose code runs.

An author calls the module so, and so do its classes and functions: a pickled object names its class in this way, in
every build and after a restart.
"""

import builtins
import importlib
import inspect
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import Thread
from types import FrameType, ModuleType
from typing import Any
from weakref import WeakValueDictionary, ref

from charhost.loading.character_metrics import CharacterMetrics
from charhost.loading.snapshot import Snapshot
from charhost.text import ROOT

_BUILTINS = vars(builtins)  # those of all code but that of builds
_LIKE_A_BUILD = re.compile(r"b\d+\b")

# The attribute of a thread for the build and the file that have started it.
_STARTER = "_charhost_starter"


class BuildCode:
    """The code of one build, whose modules are below *prefix*; its `__import__` is a method, found on the stack.

    `executed` has the namespaces of the files that were executed to their end, `threads` what each file has started;
    `is_taken` as soon as a character of it serves.
    """

    def __init__(self, prefix: str, snapshot: Snapshot, metrics: CharacterMetrics) -> None:
        self.prefix = prefix
        self.snapshot = snapshot
        self.metrics = metrics
        self.is_taken = False
        self.executed: dict[str, dict[str, Any]] = {}
        self.threads: dict[str, WeakValueDictionary[int, Thread]] = {}
        self._ends: dict[str, list[Callable[[], object]]] = {}

    def path_of(self, location: str) -> str | None:
        """Return the path of a file of the build, relative to the directory."""
        path = location.removeprefix(f"{self.snapshot.directory}/")
        return path if path in self.snapshot.files else None

    def note_thread(self, thread: Thread, path: str) -> None:
        """Note that the file at *path* starts a thread, whose code is that of the build, wherever it comes from."""
        self.threads.setdefault(path, WeakValueDictionary())[id(thread)] = thread
        vars(thread)[_STARTER] = ref(self), path

    def at_end_of(self, path: str, end: Callable[[], object]) -> None:
        """Call *end* when the file at *path* ends, which for a helper is when the build does."""
        self._ends.setdefault(path, []).append(end)

    def end(self, path: str) -> None:
        for end in self._ends.pop(path, ()):
            with suppress(Exception):  # a handler or a collector may be of a class of the file
                end()

    def end_all(self) -> None:
        for path in list(self._ends):
            self.end(path)


def running() -> BuildCode | None:
    """Return the build whose code runs on this thread, or has started it, if any."""
    code = next((code for code, _ in frames_of_builds(inspect.currentframe())), None)
    return code or next((code for code, _ in starter()), None)


def starter() -> Iterator[tuple[BuildCode, str]]:
    """Yield the build and the file that have started this thread, if it is one of a build that is in use."""
    reference, path = vars(threading.current_thread()).get(_STARTER, (lambda: None, ""))
    code = reference()
    if code is not None and code.prefix in sys.modules:
        yield code, path


def frames_of_builds(frame: FrameType | None) -> Iterator[tuple[BuildCode, FrameType]]:
    """Yield the frames that run code of a build, from *frame* outwards, each with that build."""
    while frame is not None:
        if frame.f_builtins is not _BUILTINS:
            code = getattr(frame.f_builtins.get("__import__"), "__self__", None)
            if isinstance(code, BuildCode):
                yield code, frame
        frame = frame.f_back


class PublicNames:
    """Owns the public names in `sys.modules`. Where no code of a build runs, they mean the one published last."""

    def __init__(self) -> None:
        self.published: str | None = None
        self._root = _Root()
        self._users: dict[str, dict[str, None]] = {}  # the builds with a module of that name, newest last

    @property
    def are_ours(self) -> bool:
        """Whether there is no other package `characters` in the process; its modules would keep their names."""
        return sys.modules.get(ROOT) is self._root

    def claim(self) -> None:
        if sys.modules.get(ROOT) is None:  # a file may have put None there
            sys.modules[ROOT] = self._root

    def meant_by(self, name: str) -> str | None:
        """Return the module that a public name means here, by its name in the build."""
        if not self.are_ours:
            return None
        code = running()
        prefix = code.prefix if code is not None else self.published
        return prefix and prefix + name.removeprefix(ROOT)

    def imported(self, name: str) -> ModuleType:
        """Return the module that a public name means here; raise its error if it cannot be loaded."""
        meant = self.meant_by(name)
        if meant is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return sys.modules.get(meant) or importlib.import_module(meant)

    def loaded(self, name: str) -> ModuleType:
        """Return the module that a public name means here; where no build's code runs, else the newest of that name."""
        meant = [self.meant_by(name) or ""]
        if running() is None:
            meant += [prefix + name.removeprefix(ROOT) for prefix in reversed(self._users.get(name, {}))]
        found = next((module for module in map(sys.modules.get, meant) if module is not None), None)
        if found is None:
            raise AttributeError(f"module {name!r} is not loaded here")
        return found

    def of(self, code: BuildCode, name: str) -> str:
        """Return the name that a module of a build has for its own code."""
        inner = name[len(code.prefix) + 1 :]
        # One that looks like a build's stays what it is.
        if not self.are_ours or _LIKE_A_BUILD.match(inner):
            return name
        return f"{ROOT}.{inner}" if inner else ROOT

    def stand_in(self, name: str) -> ModuleType:
        """Return the entry of `sys.modules` under a public name, which is put there if need be."""
        module = sys.modules.get(name)
        if not isinstance(module, _PublicModule):
            module = sys.modules[name] = _PublicModule(name)
        return module

    def use(self, name: str, prefix: str) -> None:
        """Keep a public name until the build drops it."""
        self._users.setdefault(name, {})[prefix] = None

    def drop(self, names: Iterable[str], prefix: str) -> None:
        """Forget the *names* that no other build has, and the loggers of those modules."""
        gone = {prefix}
        for name in names:
            users = self._users.get(name, {})
            users.pop(prefix, None)
            if not users:
                self._users.pop(name, None)
                if name != ROOT and isinstance(sys.modules.get(name), _PublicModule):
                    del sys.modules[name]
                    gone.add(name)
        loggers = logging.Logger.manager.loggerDict
        for logger in [name for name in loggers if name.startswith(ROOT) and not gone.isdisjoint(_and_above(name))]:
            loggers.pop(logger, None)


def _and_above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


class _PublicModule(ModuleType):
    """`characters.x` in `sys.modules`: stands for module x of the build whose code runs."""

    def __getattribute__(self, attribute: str) -> Any:
        # The import system asks for these: the module is to be loaded.
        find = NAMES.imported if attribute in ("__spec__", "__path__") else NAMES.loaded
        return getattr(find(object.__getattribute__(self, "__name__")), attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        # The import system sets its own spec, and public modules as attributes of public packages.
        if attribute != "__spec__" and not isinstance(value, _PublicModule):
            setattr(NAMES.loaded(object.__getattribute__(self, "__name__")), attribute, value)


class _Root(_PublicModule):
    """`characters` in `sys.modules`: the package above the builds, and else that of the build whose code runs."""

    def __init__(self) -> None:
        super().__init__(ROOT)
        object.__setattr__(self, "__path__", [])

    def __getattribute__(self, attribute: str) -> Any:
        if attribute == "__spec__" and running() is not None:  # which says where the files are
            return super().__getattribute__(attribute)
        try:
            return object.__getattribute__(self, attribute)
        except AttributeError:
            return super().__getattribute__(attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        if not isinstance(value, _PublicModule):
            object.__setattr__(self, attribute, value)


NAMES = PublicNames()
