"""Character sets that are uploaded as a tar archive, which has regular `.py` files and nothing else."""

import hashlib
import os
import tarfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from charhost.errors import CharhostError
from charhost.fleet.sets.known_files import KnownFiles
from charhost.loading.exclusion import why_excluded
from charhost.loading.fingerprint import fingerprints
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Limits, Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.text import quoted

# The media type of an archive.
TAR = "application/x-tar"

_BLOCK = 512
# Each file has a header, and is filled up to a whole block.
_MOST_OVERHEAD = 2 * _BLOCK
_KINDS = {
    tarfile.DIRTYPE: "a folder",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.GNUTYPE_LONGNAME: "a header of GNU tar for long names (write it with --format=ustar)",
    tarfile.GNUTYPE_LONGLINK: "a header of GNU tar for long names (write it with --format=ustar)",
    tarfile.XHDTYPE: "an extended header (write it with --format=ustar)",
    tarfile.XGLTYPE: "an extended header (write it with --format=ustar)",
    tarfile.SOLARIS_XHDTYPE: "an extended header (write it with --format=ustar)",
}


class UnusableUpload(CharhostError):
    """An upload is no archive of `.py` files, or exceeds the limits of a set."""


def most_bytes(limits: Limits) -> int:
    """Return the size of the largest archive."""
    return limits.bytes + _MOST_OVERHEAD * (limits.files + 1)


def uploaded_set(archive: bytes, limits: Limits, directory: str, current: Collection[Snapshot] = ()) -> StoredSet:
    """Return the set in an archive, as one of *directory*; unchanged files are those of *current*.

    Raises `UnusableUpload`.
    """
    known = KnownFiles(current)
    contents = files_of(archive, limits)
    digests = {path: hashlib.sha256(data).digest() for path, data in contents.items()}
    new = {digests[path]: data for path, data in contents.items()}
    files = {path: known.file(directory, path, digests[path], new) for path in sorted(contents)}
    snapshot = Snapshot(Path(directory), files, taken=time.time_ns(), excluded=limits.excluded)
    if not snapshot.character_paths:
        raise UnusableUpload("The archive has no character: no .py file of its own whose name begins with no _.")
    prints = fingerprints(snapshot)
    members = tuple(Member(snapshot, path, prints[path]) for path in snapshot.character_paths)
    return StoredSet(0, directory, snapshot.disk_revision, members)


def files_of(archive: bytes, limits: Limits) -> dict[str, bytes]:
    """Return the files of an archive by path; raises `UnusableUpload`."""
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    for path, data in _entries(archive, limits):
        if path in files:
            raise UnusableUpload(f"The archive has {quoted(path)} twice.")
        files[path] = data
        folders.update(map(str, list(PurePosixPath(path).parents)[:-1]))
        if len(files) > limits.files or len(folders) > limits.files:
            raise UnusableUpload(f"The archive has more than {limits.files:,} files or folders (max_files).")
    if both := files.keys() & folders:
        raise UnusableUpload(f"{quoted(min(both))} is a file and a folder.")
    if (total := sum(map(len, files.values()))) > limits.bytes:
        raise UnusableUpload(f"The archive has {total:,} bytes of source; the limit is {limits.bytes:,} (max_bytes).")
    return files


def _entries(archive: bytes, limits: Limits) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file.

    The headers are read one by one: `tarfile` itself would follow extended ones, and end at a damaged one in silence.
    """
    at = 0
    while any(header := archive[at : at + _BLOCK]):
        entry = _entry(header, at)
        if entry.size > limits.file_bytes:
            most = f"the limit is {limits.file_bytes:,} (max_file_bytes)"
            raise UnusableUpload(f"{quoted(entry.name)} has {entry.size:,} bytes; {most}.")
        _check_path(entry.name, limits)
        at += _BLOCK
        data = archive[at : at + entry.size]
        if len(data) < entry.size:
            raise UnusableUpload(f"The archive ends within {quoted(entry.name)}.")
        yield entry.name, data
        at += -(-entry.size // _BLOCK) * _BLOCK
    if len(header) < _BLOCK:
        raise UnusableUpload("The archive does not end with an empty block: a part of it is missing.")
    if archive.count(0, at) < len(archive) - at:
        raise UnusableUpload("The archive has data after its end.")


def _entry(header: bytes, at: int) -> tarfile.TarInfo:
    try:
        entry = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as e:
        raise UnusableUpload(f"The body is no tar archive: at byte {at:,} there is no header ({e}).") from e
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = _KINDS.get(entry.type, f"an entry of the type {entry.type!r}")
        raise UnusableUpload(f"{quoted(entry.name)} is {kind}; the archive may have regular .py files only.")
    if entry.size < 0:
        raise UnusableUpload(f"{quoted(entry.name)} has a negative size.")
    return entry


def _check_path(path: str, limits: Limits) -> None:
    """Raise `UnusableUpload` for a path that a set of a directory would not have."""
    parts = path.split("/")
    if os.path.isabs(path) or any(part in ("", ".", "..") for part in parts):
        raise UnusableUpload(f"{quoted(path)} is no relative path without `.` and `..`.")
    if not path.endswith(".py"):
        raise UnusableUpload(f"{quoted(path)} is no .py file: data files do not travel.")
    if any(part.startswith(".") or part == "__pycache__" for part in parts):
        raise UnusableUpload(f"{quoted(path)} is hidden, or below __pycache__, and is never read.")
    if why := why_excluded(path, limits.excluded):
        raise UnusableUpload(f"{quoted(path)} {why}, and is never read.")
