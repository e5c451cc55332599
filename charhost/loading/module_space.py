"""The private `characters` package of one build, imported from a snapshot and never from the disk.

Character files import their helpers as `characters.x`, also inside functions that run hours later, when another
build is current. So every build has a package of its own, `characters.b7`, and its modules a `__import__` that
turns `characters` into that package.
"""

import builtins
import importlib
import itertools
import linecache
import logging
import sys
import weakref
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import resolve_name
from types import CodeType, ModuleType
from typing import Any

from charhost.character.character import Character, LoadedModules
from charhost.character.diagnostics import HelperFailed, explain
from charhost.character.validation import character_in
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.report import FileError
from charhost.text import ROOT, display, public

_builds = itertools.count(1)
_real_import: Callable[..., Any] = builtins.__import__

log = logging.getLogger("charhost.reload")

_BEYOND = (
    "attempted relative import beyond top-level package: a file can only import from its own directory and below; "
    "move the module there, or install it as a package"
)

# A logger, not the placeholder that logging would put there: a placeholder keeps every logger below it for ever.
logging.getLogger(ROOT)


class ModuleSpace(LoadedModules):
    """The modules of one build; they leave `sys.modules` when the last holder of this object is gone.

    Every `Character` of the build holds it. Nothing in the modules themselves may: a loader that referred to its
    space would keep both alive for ever.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.build = next(_builds)
        self.snapshot = snapshot
        self._prefix = f"{ROOT}.b{self.build}"
        self._sources = _FINDER.add(self._prefix, snapshot)
        weakref.finalize(self, _FINDER.retire, self._prefix).atexit = False

    @property
    def helpers(self) -> Container[str]:
        return self.snapshot.modules

    def load(self, path: str) -> ModuleType:
        return importlib.import_module(f"{self._prefix}.{self.snapshot.module_names[path]}")

    def seal(self) -> None:
        """End the build: from now on an import that failed is tried again, as Python does."""
        self._sources.failures = None

    def publish(self) -> None:
        """Let computed imports of `characters.x`, from anywhere, mean the modules of this build."""
        _FINDER.publish(self._prefix)


@dataclass(frozen=True)
class Load:
    """A job that loads one file: to be called on a thread, under its deadline."""

    snapshot: Snapshot
    path: str
    fingerprint: str
    generation: int
    space: ModuleSpace

    def __call__(self) -> Character | FileError:
        if self.path in self.snapshot.unreadable:
            return self.result(self.snapshot.unreadable[self.path])
        try:
            return character_in(
                self.space.load(self.path),
                lambda: self.snapshot.files[self.path].text,
                file=display(self.path),
                location=self.snapshot.location(self.path),
                fingerprint=self.fingerprint,
                generation=self.generation,
                modules=self.space,
            )
        except BaseException as e:  # a file may raise SystemExit, KeyboardInterrupt and anything else
            return self.result(e)

    def result(self, outcome: Character | FileError | BaseException) -> Character | FileError:
        """Return the character, or the error of the file; past the deadline that is a `LoadTimeout`."""
        if isinstance(outcome, BaseException):
            return explain(outcome, self.path, self.snapshot.location(self.path), self.snapshot.modules)
        return outcome


class _Sources:
    def __init__(self, prefix: str, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.builtins = {**vars(builtins), "__import__": self._import, "input": _no_input}
        self._prefix = prefix
        self.failures: dict[str, FileError] | None = {}
        self.found: list[str] = []
        self._copies: set[str] = set()

    def check(self, names: Iterable[str]) -> None:
        # It may have failed on another thread: an importer that waited there has received the partial module.
        failures = self.failures or {}
        for name in names:
            if name in failures:
                raise HelperFailed(public(name), failures[name])

    def spec(self, name: str, inner: str) -> ModuleSpec:
        source = self.snapshot.modules.get(inner)
        if source is None:  # raised here, so that no other finder looks on the disk
            raise ModuleNotFoundError(f"No module named {public(name)!r}", name=name)
        self.check([name])
        self.found.append(name)
        loader = _Loader(name, self.snapshot.files[source.file], self) if source.file else None
        spec = ModuleSpec(name, loader, origin=loader.path if loader else None)
        if source.is_package:
            spec.submodule_search_locations = [source.folder]
        return spec

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if level:
            package = str((globals or {}).get("__package__", ""))
            if level > package.count("."):  # out of the space: refused, as Python does at the top of a package
                raise ImportError(_BEYOND)
            inner = resolve_name("." * level + name, package)
            module = _real_import(name, globals, locals, fromlist, level)
        elif name == ROOT or name.startswith(f"{ROOT}."):
            inner = self._prefix + name.removeprefix(ROOT)
            module = _real_import(inner, globals, locals, fromlist, 0)
            module = module if fromlist else sys.modules[self._prefix]
        else:
            module = _real_import(name, globals, locals, fromlist, level)
            if (top := name.partition(".")[0]) in self.snapshot.modules:
                self._warn_of_copy(top)
            return module
        self.check([inner, *(f"{inner}.{child}" for child in fromlist or ())])
        return module

    def _warn_of_copy(self, name: str) -> None:
        """Warn if the module *name* is a helper of the directory that was imported through `sys.path`."""
        location = str(getattr(sys.modules.get(name), "__file__", ""))
        if location.startswith(f"{self.snapshot.directory}/") and name not in self._copies:
            self._copies.add(name)
            log.warning("%s was imported through sys.path, so it is not reloaded: import it from `.`", location)


def _no_input(prompt: object = "", /) -> str:
    raise EOFError("input() would wait for the terminal of the server: a conversation reaches the file by its methods")


class _Finder(Loader):
    """The one entry on `sys.meta_path`: finds `characters.b7.x` in the sources of build 7."""

    def __init__(self) -> None:
        self._sources: dict[str, _Sources] = {}
        self._root = ModuleType(ROOT)
        self._root.__path__ = []
        self._published: str | None = None
        self._aliases: list[str] = []

    def add(self, prefix: str, snapshot: Snapshot) -> _Sources:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        if sys.modules.get(ROOT) is None:  # a file may have put None there
            sys.modules[ROOT] = self._root
        self._sources[prefix] = _Sources(prefix, snapshot)
        return self._sources[prefix]

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(f"{ROOT}."):
            return None
        root, build, *inner = name.split(".", 2)
        sources = self._sources.get(f"{root}.{build}")
        if sources is not None:
            return sources.spec(name, inner[0] if inner else "")
        if self._published is None or sys.modules.get(ROOT) is not self._root:
            return None
        self._aliases.append(name)
        source = self._sources[self._published].snapshot.modules.get(name.removeprefix(f"{ROOT}."))
        is_package = source is not None and source.is_package
        return ModuleSpec(name, self, loader_state=self._published + name.removeprefix(ROOT), is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(spec.loader_state)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        alias = module.__spec__
        if alias is not None:  # the import system has put it there
            module.__spec__ = alias.loader_state

    def publish(self, prefix: str) -> None:
        self._published = prefix
        self._forget_aliases()

    def _forget_aliases(self) -> None:
        aliases, self._aliases = self._aliases, []
        for name in aliases:
            sys.modules.pop(name, None)
            vars(self._root).pop(name.split(".")[1], None)

    def retire(self, prefix: str) -> None:
        if self._published == prefix:
            self._published = None
            self._forget_aliases()
        for name in self._sources.pop(prefix).found:
            sys.modules.pop(name, None)
        loggers = logging.Logger.manager.loggerDict
        for name in list(loggers):
            if f"{name}.".startswith(f"{prefix}."):
                loggers.pop(name, None)
        if (root := sys.modules.get(ROOT)) is not None:
            vars(root).pop(prefix.removeprefix(f"{ROOT}."), None)


class _Loader(SourceFileLoader):
    """Runs a file from the bytes of a snapshot; no bytecode file is read or written."""

    def __init__(self, name: str, file: SourceFile, sources: _Sources) -> None:
        super().__init__(name, file.location)
        self._file = file
        self._sources = sources

    def get_code(self, fullname: str) -> CodeType:
        return self._file.code

    def get_source(self, fullname: str) -> str:
        return self._file.text

    def exec_module(self, module: ModuleType) -> None:
        linecache.cache[self._file.location] = self._file.lines
        namespace = vars(module)
        namespace["__file__"] = self._file.location
        namespace["__builtins__"] = self._sources.builtins
        try:
            exec(self._file.code, namespace)
        except BaseException as e:
            if self._sources.failures is not None:
                # Relative to no file, so that the message names the place to each importer.
                folder = self._file.location.removesuffix(self._file.path)
                failure = explain(e, "", folder, self._sources.snapshot.modules)
                self._sources.failures[module.__name__] = failure
            raise


_FINDER = _Finder()
