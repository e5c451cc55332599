"""The import of modules from builds: `characters.b7.x` is module x of build 7, from its snapshot, never the disk."""

import builtins
import importlib
import linecache
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from charhost.character.diagnostics import HelperFailed, explain
from charhost.loading import opened_files
from charhost.loading.character_metrics import CharacterMetrics
from charhost.loading.public_names import NAMES, BuildCode
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.traces import install
from charhost.report import FileError
from charhost.text import ROOT, public

if TYPE_CHECKING:
    from importlib.resources.abc import TraversableResources

_real_import: Callable[..., Any] = builtins.__import__

log = logging.getLogger("charhost.reload")

_BEYOND = (
    "attempted relative import beyond top-level package: a file can only import from its own directory and below; "
    "move the module there, or install it as a package"
)

# A logger, not the placeholder that logging would put there: a placeholder keeps every logger below it for ever.
logging.getLogger(ROOT)


class Sources(BuildCode):
    """The sources of one build, and the imports that its files make; `found` has the public names of its modules."""

    def __init__(self, prefix: str, snapshot: Snapshot, metrics: CharacterMetrics) -> None:
        super().__init__(prefix, snapshot, metrics)
        self.builtins = {**vars(builtins), "__import__": self._import, "input": _no_input}
        self.failures: dict[str, FileError] | None = {}
        self.found: dict[str, str] = {}
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
        self.found[name] = shared = NAMES.of(self, name)
        NAMES.use(shared, self.prefix)
        file = _FileLoader(name, self.snapshot.files[source.file], self) if source.file else None
        spec = ModuleSpec(name, file or _FolderLoader(source.folder), origin=file.path if file else None)
        if source.is_package:
            spec.submodule_search_locations = [source.folder]
        return spec

    def run(self, inner: str) -> ModuleType:
        """Execute a module that no other file imports, without the locks of the import system."""
        name = f"{self.prefix}.{inner}"
        package = sys.modules.get(self.prefix) or importlib.import_module(self.prefix)
        if name in sys.modules:
            return sys.modules[name]
        spec = self.spec(name, inner)
        loader = cast(_FileLoader, spec.loader)
        module = sys.modules[name] = _Module(name)
        vars(module).update(__spec__=spec, __loader__=loader, __package__=self.prefix)
        try:
            loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        vars(package)[inner] = sys.modules[name]
        return sys.modules[name]

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
            inner = self.prefix + name.removeprefix(ROOT)
            module = _real_import(inner, globals, locals, fromlist, 0)
            module = module if fromlist else sys.modules[self.prefix]
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


class Finder(Loader):
    """The one entry on `sys.meta_path`: finds the modules of builds, by the names of builds and by public names."""

    def __init__(self) -> None:
        self._sources: dict[str, Sources] = {}

    def add(self, prefix: str, snapshot: Snapshot, metrics: CharacterMetrics) -> Sources:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        NAMES.claim()
        install()
        self._sources[prefix] = Sources(prefix, snapshot, metrics)
        return self._sources[prefix]

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(f"{ROOT}."):
            return None
        root, build, *inner = name.split(".", 2)
        sources = self._sources.get(f"{root}.{build}")
        if sources is not None:
            return sources.spec(name, inner[0] if inner else "")
        return ModuleSpec(name, self) if NAMES.are_ours and NAMES.meant_by(name) is not None else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        NAMES.imported(spec.name)
        return NAMES.stand_in(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave a public module as it is: it has no code of its own."""

    def publish(self, prefix: str) -> None:
        NAMES.published = prefix

    def retire(self, prefix: str) -> list[ModuleType]:
        """Forget a build, and return the modules that it had."""
        if NAMES.published == prefix:
            NAMES.published = None
        opened_files.end(prefix)
        sources = self._sources.pop(prefix)
        sources.end_all()
        modules = [sys.modules.pop(name) for name in sources.found if name in sys.modules]
        NAMES.drop(sources.found.values(), prefix)
        if isinstance(root := sys.modules.get(ROOT), ModuleType):
            with suppress(AttributeError):
                object.__delattr__(root, prefix.removeprefix(f"{ROOT}."))
        return modules


class _Module(ModuleType):
    """A module of a build. For its own code `__name__` is the public name, for the import system that of the build."""

    __name__: Any = property(lambda module: vars(module)["__spec__"].name)


def attributes_of(module: ModuleType) -> Callable[[str, Any], Any]:
    """Return the function that returns an attribute of a module, or else the default."""
    # Most modules leave most attributes of a character out, and `getattr` is slow to find that.
    is_plain = type(module) is _Module and "__getattr__" not in vars(module)
    return vars(module).get if is_plain else partial(getattr, module)


class _FolderLoader(Loader):
    """Makes the module of a folder without `__init__.py`; the data files in it are found by `importlib.resources`."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""

    def get_resource_reader(self, fullname: str) -> "TraversableResources":
        from importlib.resources.abc import TraversableResources  # few files use it

        class Reader(TraversableResources):
            def files(self, folder: Path = self._folder) -> Path:
                return folder

        return Reader()


class _FileLoader(SourceFileLoader):
    """Runs a file from the bytes of a snapshot; no bytecode file is read or written."""

    def __init__(self, name: str, file: SourceFile, sources: Sources) -> None:
        super().__init__(name, file.location)
        self._file = file
        self._sources = sources

    def get_code(self, fullname: str) -> CodeType:
        return self._file.code

    def get_source(self, fullname: str) -> str:
        return self._file.text

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        linecache.cache[self._file.location] = self._file.lines
        namespace = vars(module)
        namespace["__file__"] = self._file.location
        namespace["__builtins__"] = self._sources.builtins
        namespace["__name__"] = name = self._sources.found[self.name]
        stand_in = NAMES.stand_in(name) if name != self.name else module
        try:
            exec(self._file.code, namespace)
            self._sources.executed[self._file.path] = namespace
        except BaseException as e:
            if self._sources.failures is not None:
                # Relative to no file, so that the message names the place to each importer.
                folder = self._file.location.removesuffix(self._file.path)
                failure = explain(e, "", folder, self._sources.snapshot.modules)
                self._sources.failures[self.name] = failure
            raise
        finally:
            if (own := sys.modules.get(name, stand_in)) is not stand_in:  # what the file put in its own place
                sys.modules[self.name] = own
                if stand_in is not module:
                    sys.modules[name] = stand_in


FINDER = Finder()
