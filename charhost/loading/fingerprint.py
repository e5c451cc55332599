import hashlib
import os
from collections.abc import Iterator

from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile

_FEW = 50


def are_quick(snapshot: Snapshot) -> bool:
    """Return whether the fingerprints of a snapshot take less time than a thread that is woken for them."""
    return len(snapshot.files) <= _FEW and all(file.is_compiled for file in snapshot.files.values())


def fingerprints(snapshot: Snapshot) -> dict[str, str]:
    """Digest, for each character file, (path, bytes) of it, of all files of the directory that it imports, and of the
    data files that these have opened when they were last loaded.

    A file that does not compile imports nothing.
    """
    graph = _Graph(snapshot)
    snapshot.imported  # noqa: B018 - here, where all is compiled, not under the deadline of the first file
    # Most files import and open nothing of the directory, and a reload looks at every file.
    alone = graph.others(frozenset())
    return {
        path: graph.fingerprint(file) if file.imports or file.opened else file.fingerprint(alone)
        for path in snapshot.character_paths
        if (file := snapshot.files.get(path)) is not None
    }


class _Graph:
    def __init__(self, snapshot: Snapshot) -> None:
        self._modules = snapshot.modules
        self._names = snapshot.module_names
        self._files = snapshot.files
        self._content = snapshot.data
        self._direct: dict[str, frozenset[str]] = {}
        # Importing anything runs the `__init__.py` of the directory.
        self._root = self._reach(frozenset([""]))
        self._others: dict[frozenset[str], bytes] = {}

    def fingerprint(self, file: SourceFile) -> str:
        direct = self._imports(self._names[file.path]) - self._root if file.imports else frozenset()
        return file.fingerprint(self.others(direct) + self._data(file))

    def others(self, direct: frozenset[str]) -> bytes:
        """Return the digest of all that is run by an import of *direct*, beside the `__init__.py` of the directory."""
        if direct not in self._others:
            names = sorted(self._reach(direct | self._root))
            self._others[direct] = hashlib.sha256(b"".join(map(self._entry, names))).digest()
        return self._others[direct]

    def _reach(self, names: frozenset[str]) -> frozenset[str]:
        found, waiting = set(names), list(names)
        while waiting:
            new = self._imports(waiting.pop()) - found
            found |= new
            waiting.extend(new)
        return frozenset(found)

    def _entry(self, name: str) -> bytes:
        source = self._modules.get(name)
        if source is None:
            return b"absent " + os.fsencode(name) + b"\0"
        if source.file is None:
            return b"folder " + os.fsencode(name) + b"\0"
        file = self._files[source.file]
        return b"file " + file.entry + self._data(file)

    def _data(self, file: SourceFile) -> bytes:
        if not file.opened:
            return b""
        paths = [path for path in sorted(file.opened) if path in self._content]
        return b"".join(b"data " + os.fsencode(path) + b"\0" + self._content[path] for path in paths)

    def _imports(self, name: str) -> frozenset[str]:
        if name not in self._direct:
            self._direct[name] = frozenset(self._targets(name))
        return self._direct[name]

    def _targets(self, name: str) -> Iterator[str]:
        source = self._modules.get(name)
        if source is None or source.file is None:
            return
        package = name if source.is_package else name.rpartition(".")[0]
        for statement in self._files[source.file].imports:
            base = statement.base(package)
            if base is not None:
                yield from self._run_by(base, statement.names)

    def _run_by(self, base: str, names: tuple[str, ...]) -> Iterator[str]:
        """Yield the modules that `from base import names` may run: the packages above, the base, its submodules."""
        parts = base.split(".") if base else []
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        source = self._modules.get(base)
        if source is not None and source.is_package:
            prefix = f"{base}." if base else ""
            for name in names:
                yield from self._children(prefix) if name == "*" else [prefix + name]

    def _children(self, prefix: str) -> Iterator[str]:
        for name in self._modules:
            if name.startswith(prefix) and name != "" and "." not in name[len(prefix) :]:
                yield name
