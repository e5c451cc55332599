from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from charhost.errors import DirectoryTooLarge
from charhost.loading.allowed_roots import AllowedPaths, AllowedRoots
from charhost.loading.data_file import digest_of, is_state
from charhost.loading.directory_walk import EXHAUSTED, Walk, unusable
from charhost.loading.module_names import ModuleSource, module_layout
from charhost.loading.source_file import SourceFile
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
        paths = [*self.files, *self.unreadable]
        return tuple(sorted(path for path in paths if "/" not in path and not path.startswith("_")))

    @cached_property
    def modules(self) -> Mapping[str, ModuleSource]:
        """The targets of module names, which are relative to the directory."""
        return module_layout(str(self.directory), tuple(self.files))

    @cached_property
    def module_names(self) -> Mapping[str, str]:
        return {source.file: name for name, source in self.modules.items() if source.file}

    @cached_property
    def imported(self) -> Container[str]:
        """The names that occur in imports of the files, among them those of all modules that a file imports."""
        imports = [statement for file in self.files.values() for statement in file.imports]
        names = {part for statement in imports for part in (*statement.name.split("."), *statement.names)}
        return self.modules if "*" in names else names

    @cached_property
    def disk_revision(self) -> str:
        entries = [os.fsencode(path) + b"\0" + file.digest for path, file in self.files.items()]
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
        return os.path.join(self.directory, path)


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
    walk = Walk(directory, limits.files, allowed, limits.excluded)
    began = time.time_ns()
    try:
        for path, entry in sorted(walk.files(), key=itemgetter(0)):
            reader.read(path, entry)
            if reader.bytes > limits.bytes:
                most = f"{limits.bytes:,} bytes of source (max_bytes)"
                raise DirectoryTooLarge(f"{display(str(directory))} holds more than {most}")
        for path in {path for file in reader.files.values() for path in file.opened}:
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
        self.files: dict[str, SourceFile] = {}
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
        self.bytes = 0
        self.newest = 0

    def read(self, path: str, entry: os.DirEntry[str]) -> None:
        try:
            # A link that leads outside is refused before its target is looked at, which may or may not be there.
            if self._allowed is not None and entry.is_symlink() and not self._allowed.encloses(entry.path):
                raise _outside(entry.path)
            status = entry.stat()
            stamp = _stamp(status)
            if self._stamps.get(path) == stamp:
                self.stamps[path], file = stamp, self._known[path]
            else:
                file = self._open(path, entry.path, status)
        except OSError as e:
            if e.errno in EXHAUSTED:
                raise unusable(os.path.dirname(entry.path), e) from e
            self.unreadable[path] = e.with_traceback(None)
            return
        self.files[path] = file
        self.bytes += len(file.data)

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


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


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
