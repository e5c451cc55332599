from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter, itemgetter
from pathlib import Path

from charhost.errors import DirectoryTooLarge
from charhost.loading.allowed_roots import AllowedPaths, AllowedRoots
from charhost.loading.data_file import digest_of, is_state
from charhost.loading.directory_walk import EXHAUSTED, Walk, unusable
from charhost.loading.module_names import Layout, ModuleSource, character_paths, module_layout
from charhost.loading.source_file import SourceFile
from charhost.memory.collector import in_slices
from charhost.report import LeftOut
from charhost.settings import Settings
from charhost.text import display

# Two writes within one tick of the file system's clock leave a file's stat equal, so the stat of a file that was read
# this soon after a write proves nothing, and is not kept.
_SETTLED = 2_000_000_000


@dataclass(frozen=True)
class Limits:
    """The limits of a snapshot; `files` also bounds the number of folders, `excluded` are patterns of .gitignore."""

    files: int
    bytes: int
    file_bytes: int
    excluded: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_files, settings.max_bytes, settings.max_file_bytes, settings.exclude)


Stamp = tuple[int, int, int, int, int]
_stamp: Callable[[os.stat_result], Stamp] = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Every `.py` file below a directory, read once; `unreadable` are those that could not be.

    `left_out` has a reason for each file and folder that was not read because it is no part of the set, by the patterns
    `excluded`. `data` has a digest of each data file that the files have opened: it grows while they are loaded.

    Paths are relative to the directory, with `/`, in sorted order. `taken` is when the reading began, in nanoseconds,
    and later than that of the snapshot before, whatever becomes of the clock; `still_for` the seconds without a change
    before it, by the clock of the disk. `place` is where the directory led to then, by whatever links.
    """

    directory: Path
    files: Mapping[str, SourceFile]
    unreadable: Mapping[str, OSError] = field(default_factory=dict)
    stamps: Mapping[str, Stamp] = field(default_factory=dict, repr=False)
    taken: int = 0
    still_for: float = 0.0
    place: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False)
    excluded: tuple[str, ...] = ()
    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    data_stamps: Mapping[str, Stamp] = field(default_factory=dict, repr=False)

    @cached_property
    def character_paths(self) -> tuple[str, ...]:
        """The files directly in the directory whose names start with neither `_` nor `.`."""
        return character_paths((*self.files, *self.unreadable))

    @property
    def modules(self) -> Mapping[str, ModuleSource]:
        """The targets of module names, which are relative to the directory."""
        return self._layout.modules

    @property
    def module_names(self) -> Mapping[str, str]:
        return self._layout.names

    @cached_property
    def _folder(self) -> str:
        return os.path.join(self.directory, "")

    @cached_property
    def _layout(self) -> Layout:
        return module_layout(str(self.directory), tuple(self.files))

    @cached_property
    def imported(self) -> Container[str]:
        """The names that occur in imports of the files, among them those of all modules that a file imports."""
        imports = [statement for file in in_slices(self.files.values()) if file.imports for statement in file.imports]
        names = {part for statement in imports for part in (*statement.name.split("."), *statement.names)}
        return self.modules if "*" in names else names

    @cached_property
    def disk_revision(self) -> str:
        entries = [file.entry for file in self.files.values()]
        entries += [os.fsencode(path) + b"\0unreadable" for path in sorted(self.unreadable)]
        return f"sha256:{hashlib.sha256(b''.join(entries)).hexdigest()}"

    @property
    def omissions(self) -> tuple[LeftOut, ...]:
        return tuple(LeftOut(path=path, reason=reason) for path, reason in self.left_out.items())

    def equals(self, other: Snapshot) -> bool:
        """Return whether both hold the same content of the same directory, with the data files that both know."""
        data = tuple(self.data.items())  # a load may add to it meanwhile
        if self.directory != other.directory or any(other.data.get(path, known) != known for path, known in data):
            return False
        if self.files == other.files and self.unreadable.keys() == other.unreadable.keys():
            return True  # without the digest, which takes longer
        return self.disk_revision == other.disk_revision

    def location(self, path: str) -> str:
        return self._folder + path


def take_snapshot(
    directory: Path,
    limits: Limits,
    earlier: Snapshot | None = None,
    *,
    trust_stats: bool = True,
    roots: AllowedRoots | None = None,
    after: int = 0,
) -> Snapshot:
    """Read every `.py` file below *directory*, or take it from *earlier* where its stat proves it unchanged.

    Without *trust_stats* every byte is read: on some file systems, and after some tools, a stat proves nothing.
    With *roots* nothing outside them is read, wherever links lead. It is `taken` later than *after*. Raises
    `DirectoryError`.
    """
    allowed = roots.allowed(directory) if roots else None
    known = earlier if earlier is not None and earlier.directory == directory else None
    reader = _Reader(limits, known, trust_stats, allowed)
    is_same = known is not None and known.excluded == limits.excluded
    walk = Walk(directory, limits.files, allowed, limits.excluded, known.files if known and is_same else ())
    began = time.time_ns()
    try:
        reader.read_all(walk.files(), directory)
        for path in set[str]().union(*[file.opened for file in reader.files.values()]):
            reader.read_data(path, str(directory / path))
    finally:
        # Also after an error: if the directory now leads outside the roots, the error would reveal its content.
        if roots is not None:
            roots.allowed(directory)
    taken = max(began, after + 1, earlier.taken + 1 if earlier else 0)
    still_for, place = (began - max(walk.newest, reader.newest)) / 1e9, os.path.realpath(directory)
    left_out = dict(sorted(walk.left_out.items()))
    return Snapshot(
        directory,
        reader.files,
        reader.unreadable,
        reader.stamps,
        taken,
        still_for,
        place,
        left_out,
        limits.excluded,
        reader.data,
        reader.data_stamps,
    )


class _Reader:
    def __init__(
        self, limits: Limits, earlier: Snapshot | None, trust_stats: bool, allowed: AllowedPaths | None
    ) -> None:
        self.files: Mapping[str, SourceFile] = {}
        self.unreadable: dict[str, OSError] = {}
        self.stamps: dict[str, Stamp] = {}
        self.data: dict[str, bytes] = {}
        self.data_stamps: dict[str, Stamp] = {}
        self._limits = limits
        self._allowed = allowed
        self._known = earlier.files if earlier else {}
        self._stamps = earlier.stamps if earlier and trust_stats else {}
        self._known_data = earlier.data if earlier else {}
        self._known_data_stamps = earlier.data_stamps if earlier and trust_stats else {}
        self.newest = 0

    def read_all(self, found: Iterable[tuple[str, os.DirEntry[str]]], directory: Path) -> None:
        """Read the files that are new or have changed; the others are those of before."""
        changed = self._changed(found)
        files = {path: file for path, file in self._known.items() if path in self.stamps}
        size = self._within_limit(sum([len(file.data) for file in files.values()]), directory)
        for path, (location, status) in in_slices(sorted(changed.items(), key=itemgetter(0))):
            try:
                files[path] = self._open(path, location, status)
            except OSError as e:
                self._fail(path, location, e)
            else:
                size = self._within_limit(size + len(files[path].data), directory)
        self.files = dict(sorted(files.items(), key=itemgetter(0))) if changed else files

    def _changed(self, found: Iterable[tuple[str, os.DirEntry[str]]]) -> dict[str, tuple[str, os.stat_result]]:
        """Return the location and the state of each file that its state does not prove unchanged."""
        changed, known, allowed = {}, self._stamps, self._allowed
        for path, entry in found:
            try:
                # A link that leads outside is refused before its target is looked at, which may or may not be there.
                if allowed is not None and entry.is_symlink() and not allowed.encloses(entry.path):
                    raise _outside(entry.path)
                status = entry.stat()
            except OSError as e:
                self._fail(path, entry.path, e)
                continue
            if known.get(path) == (stamp := _stamp(status)):
                self.stamps[path] = stamp
            else:
                changed[path] = entry.path, status
        return changed

    def _within_limit(self, size: int, directory: Path) -> int:
        if size > self._limits.bytes:
            most = f"{self._limits.bytes:,} bytes of source (max_bytes)"
            raise DirectoryTooLarge(f"{display(str(directory))} holds more than {most}")
        return size

    def _fail(self, path: str, location: str, error: OSError) -> None:
        if error.errno in EXHAUSTED:
            raise unusable(os.path.dirname(location), error) from error
        self.unreadable[path] = error.with_traceback(None)

    def read_data(self, path: str, location: str) -> None:
        now, known, stamp, changed = time.time_ns(), self._known_data.get(path), None, 0
        with suppress(OSError):
            status = os.stat(location)
            stamp, changed = _stamp(status), max(status.st_mtime_ns, status.st_ctime_ns)
        if known is None or not (is_state(location) or (stamp and self._known_data_stamps.get(path) == stamp)):
            known = digest_of(location)
            self.newest = max(self.newest, changed)
        self.data[path] = known
        if stamp and now > changed + _SETTLED:
            self.data_stamps[path] = stamp

    def _open(self, path: str, location: str, status: os.stat_result) -> SourceFile:
        # It may have become a link since the folder was listed. A device is not even opened: that may have effects.
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISREG(os.stat(location).st_mode):
            raise _not_regular(location)
        now = time.time_ns()
        data, status = _read_regular(location, self._limits.file_bytes, self._allowed)
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        self.newest = max(self.newest, status.st_ctime_ns)
        if now > changed + _SETTLED:
            self.stamps[path] = _stamp(status)
        known = self._known.get(path)
        if known is not None and known.data == data:
            return known
        return SourceFile.of(path, location, data)


def _read_regular(location: str, limit: int, allowed: AllowedPaths | None = None) -> tuple[bytes, os.stat_result]:
    # The name may have been given to a pipe meanwhile: without O_NONBLOCK the open would wait for a writer.
    descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if allowed is not None and not allowed.holds(descriptor):
            raise _outside(location)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _not_regular(location)
        data = b""
        while len(data) <= limit and (part := os.read(descriptor, min(status.st_size, limit) + 1)):
            data += part
    finally:
        os.close(descriptor)
    if len(data) > limit:
        most = f"more than {limit:,} bytes, which is the most that is read (max_file_bytes)"
        raise OSError(errno.EFBIG, most, location)
    return data, status


def _outside(location: str) -> OSError:
    return PermissionError(errno.EACCES, "leads out of the allowed roots", location)


def _not_regular(location: str) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", location)
