"""A directory's bytes at one moment."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import linecache
import os
import re
import stat
import time
import unicodedata
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from charhost.errors import DirectoryNotFound, DirectoryNotReadable, DirectoryTooLarge, NotADirectory
from charhost.failure import display
from charhost.imports import Import, imports_of

# Two writes within one tick of the file system's clock leave a file's stat equal, so bytes that were read this
# soon after a write are read again.
_SETTLED = 2_000_000_000


@dataclass(frozen=True)
class Limits:
    """The most that a snapshot may hold; `files` also bounds the number of folders."""

    files: int
    bytes: int
    file_bytes: int


@dataclass(frozen=True, eq=False)
class SourceFile:
    """The bytes of one `.py` file and what is derived from them, once.

    A file whose content did not change is the same object in the next snapshot, so its code is compiled once.
    """

    path: str
    location: str
    data: bytes
    digest: bytes

    @cached_property
    def code(self) -> CodeType:
        """The compiled file; raises what `compile` raises."""
        return compile(self.data, self.location, "exec", dont_inherit=True)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """The imports that may mean files beside this one; none if it does not compile."""
        try:
            return tuple(imports_of(self.code))
        except Exception:  # the import of this file will fail, and say why
            return ()

    @cached_property
    def text(self) -> str:
        """The source as `inspect.getsource` shows it."""
        try:
            return importlib.util.decode_source(self.data)
        except (SyntaxError, UnicodeDecodeError, LookupError):
            return self.data.decode("utf-8", "replace")

    @cached_property
    def lines(self) -> tuple[int, None, list[str], str]:
        """The source as an entry of `linecache`, where it stays as long as this object lives, unless replaced.

        The entry has no time, so `linecache` never compares it with the disk.
        """
        entry = (len(self.data), None, self.text.splitlines(keepends=True), self.location)
        weakref.finalize(self, _drop_lines, self.location, entry).atexit = False
        return entry


def _drop_lines(location: str, entry: object) -> None:
    if linecache.cache.get(location) is entry:
        linecache.cache.pop(location, None)


class ModuleSource(NamedTuple):
    """What stands behind one module name: a file, or a folder without `__init__.py`."""

    folder: str
    is_package: bool
    file: SourceFile | None


class _Stamp(NamedTuple):
    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Stamp:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Every `.py` file below a directory, read once; `unreadable` are those that could not be.

    Paths are relative to the directory, with `/`, in sorted order.
    """

    directory: Path
    files: Mapping[str, SourceFile]
    unreadable: Mapping[str, OSError] = field(default_factory=dict)
    stamps: Mapping[str, tuple[_Stamp, int]] = field(default_factory=dict, repr=False)

    @cached_property
    def character_paths(self) -> tuple[str, ...]:
        """The files directly in the directory whose names start with neither `_` nor `.`."""
        paths = [*self.files, *self.unreadable]
        return tuple(sorted(path for path in paths if "/" not in path and not path.startswith("_")))

    @cached_property
    def modules(self) -> Mapping[str, ModuleSource]:
        """The files by module name relative to the directory; `""` is the directory itself."""
        return _modules(self)

    @cached_property
    def module_names(self) -> Mapping[str, str]:
        """The module name of each file."""
        return {source.file.path: name for name, source in self.modules.items() if source.file}

    @cached_property
    def disk_revision(self) -> str:
        """A digest over every path and its bytes."""
        digest = hashlib.sha256()
        for path, file in self.files.items():
            digest.update(os.fsencode(path) + b"\0" + file.digest)
        for path in self.unreadable:
            digest.update(os.fsencode(path) + b"\0unreadable")
        return f"sha256:{digest.hexdigest()}"


def take_snapshot(directory: Path, limits: Limits, earlier: Snapshot | None = None) -> Snapshot:
    """Read every `.py` file below *directory*, or take it from *earlier* where its stat proves it unchanged.

    Dot-folders and `__pycache__` are skipped; a linked folder is entered once. Raises `DirectoryError`.
    """
    reader = _Reader(limits, earlier if earlier is not None and earlier.directory == directory else None)
    try:
        for path, location in sorted(_walk(directory, limits)):
            reader.read(path, location)
    except DirectoryTooLarge as e:
        raise DirectoryTooLarge(f"{display(str(directory))} holds {e}") from None
    return Snapshot(directory, reader.files, reader.unreadable, reader.stamps)


class _Reader:
    """Collects files one by one, within the limits."""

    def __init__(self, limits: Limits, earlier: Snapshot | None) -> None:
        self.files: dict[str, SourceFile] = {}
        self.unreadable: dict[str, OSError] = {}
        self.stamps: dict[str, tuple[_Stamp, int]] = {}
        self._limits = limits
        self._known = earlier.files if earlier else {}
        self._stamps = earlier.stamps if earlier else {}
        self._bytes = 0

    def read(self, path: str, location: str) -> None:
        try:
            status = os.stat(location)
            file = self._reuse(path, status) or self._open(path, location, status)
        except OSError as e:
            self.unreadable[path] = e
            return
        self.files[path] = file
        self._bytes += len(file.data)
        if self._bytes > self._limits.bytes:
            raise DirectoryTooLarge(f"more than {self._limits.bytes:,} bytes of source (max_bytes)")

    def _reuse(self, path: str, status: os.stat_result) -> SourceFile | None:
        stamp, read_at = self._stamps.get(path, (None, 0))
        settled = read_at > max(status.st_mtime_ns, status.st_ctime_ns) + _SETTLED
        if not settled or stamp != _Stamp.of(status):
            return None
        self.stamps[path] = self._stamps[path]
        return self._known[path]

    def _open(self, path: str, location: str, status: os.stat_result) -> SourceFile:
        if not stat.S_ISREG(status.st_mode):  # not even opened: opening some devices has effects
            raise _not_regular(location)
        now = time.time_ns()
        data, status = _read_regular(location, self._limits.file_bytes)
        self.stamps[path] = _Stamp.of(status), now
        known = self._known.get(path)
        if known is not None and known.data == data:
            return known
        return SourceFile(path, location, data, hashlib.sha256(data).digest())


def _read_regular(location: str, limit: int) -> tuple[bytes, os.stat_result]:
    # The name may have been given to a pipe meanwhile: without O_NONBLOCK the open would wait for a writer.
    descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _not_regular(location)
        data = b""
        while len(data) <= limit and (part := os.read(descriptor, min(status.st_size, limit) + 1)):
            data += part
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise OSError(
            errno.EFBIG, f"more than {limit:,} bytes, which is the most that is read (max_file_bytes)", location
        )
    return data, status


def _not_regular(location: str) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", location)


def _walk(directory: Path, limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield the path and the location of every `.py` below *directory*; raises `DirectoryError`."""
    folders = [("", str(directory))]
    links: list[tuple[str, str, tuple[int, int]]] = []
    seen = {_identity(directory)}
    count = 0
    while folders or links:
        if not folders:  # links last, so that a folder that is also linked goes by its own name
            links.sort(reverse=True)
            path, location, linked = links.pop()
            if linked in seen:
                continue
            seen.add(linked)
            folders.append((path, location))
        prefix, folder = folders.pop()
        for entry in _entries(folder, root=not prefix):
            if _is_folder(entry):
                identity = _folder_identity(entry)
                found = f"{prefix}{entry.name}/", entry.path
                if identity is not None and entry.is_symlink():
                    links.append((*found, identity))
                elif identity is not None and identity not in seen:
                    seen.add(identity)
                    folders.append(found)
            elif entry.name.endswith(".py") and not entry.name.startswith("."):
                count += 1
                yield prefix + entry.name, entry.path
        if count > limits.files or len(seen) > limits.files:
            raise DirectoryTooLarge(f"more than {limits.files:,} files or folders (max_files)")


def _identity(directory: Path) -> tuple[int, int]:
    try:
        status = os.stat(directory)
    except PermissionError as e:
        raise DirectoryNotReadable(f"Directory not readable: {display(str(directory))} ({e.strerror})") from e
    except (OSError, ValueError) as e:
        raise DirectoryNotFound(f"Directory not found: {display(str(directory))}") from e
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectory(f"Path is not a directory: {display(str(directory))}")
    return status.st_dev, status.st_ino


def _entries(folder: str, root: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except PermissionError as e:
        if root:
            raise DirectoryNotReadable(f"Directory not readable: {display(folder)} ({e.strerror})") from e
    except OSError as e:
        if root:
            raise DirectoryNotFound(f"Directory not found: {display(folder)}") from e
    return []  # what is in a folder that went away or cannot be listed is missed where it is imported


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _folder_identity(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    if entry.name.startswith(".") or entry.name == "__pycache__":
        return None
    try:
        status = entry.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _modules(snapshot: Snapshot) -> dict[str, ModuleSource]:
    root = str(snapshot.directory)
    modules = {"": ModuleSource(root, True, snapshot.files.get("__init__.py"))}
    # Names that are module names come first, so that a mangled one never takes the place of a real one; packages
    # come before modules, as in Python's own path finder.
    for path in sorted(snapshot.files, key=_precedence):
        file = snapshot.files[path]
        folders, _, stem = path.removesuffix(".py").rpartition("/")
        package = _add_packages(modules, snapshot, folders) if folders else ""
        if stem == "__init__":
            continue
        name = f"{package}.{_module_name(stem)}" if package else _module_name(stem)
        taken = modules.get(name)
        if taken is not None and taken.file is not None:
            name += f"_x{len(modules):x}_"
        modules[name] = ModuleSource(os.path.dirname(file.location), False, file)
    return modules


def _precedence(path: str) -> tuple[bool, bool, str]:
    regular = all(unicodedata.is_normalized("NFKC", part) for part in path.split("/"))
    identifiers = all(part.isidentifier() for part in path.removesuffix(".py").split("/"))
    return not (regular and identifiers), not path.endswith("/__init__.py"), path


def _add_packages(modules: dict[str, ModuleSource], snapshot: Snapshot, folders: str) -> str:
    """Register the folders above a file as packages; answers the name of the innermost."""
    name, path, location = "", "", str(snapshot.directory)
    for folder in folders.split("/"):
        path, location = f"{path}{folder}/", os.path.join(location, folder)
        name = f"{name}.{_module_name(folder)}" if name else _module_name(folder)
        if name not in modules:
            modules[name] = ModuleSource(location, True, snapshot.files.get(f"{path}__init__.py"))
    return name


def _module_name(stem: str) -> str:
    """Spell a file name as Python's parser spells a module name; one that is none is mangled."""
    if stem.isidentifier():
        return unicodedata.normalize("NFKC", stem)
    return "_" + re.sub(r"\W", lambda match: f"_x{ord(match[0]):x}_", stem)
