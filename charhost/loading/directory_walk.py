import errno
import os
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

from charhost.errors import DirectoryError, DirectoryNotFound, DirectoryNotReadable, DirectoryTooLarge, NotADirectory
from charhost.loading.allowed_roots import AllowedPaths
from charhost.loading.exclusion import why_excluded, why_marked
from charhost.text import display

# The fault of the process or the machine, and of no file: no more descriptors, or memory.
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)

# Device and inode.
Identity = tuple[int, int]


def identity(path: Path) -> Identity:
    """Return which file or folder is at *path*, whatever its name; raises `OSError`."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


class Walk:
    """One walk over the `.py` files below a directory; `newest` is when a folder last changed, in nanoseconds.

    Dot-folders and `__pycache__` are skipped. A linked folder is entered once, and by its own name where it has one
    below the directory, and not at all if it leads out of the *allowed* paths. `left_out` has the reason for each
    other path that was skipped; that of a folder ends in `/`. The files *known* are not looked for in the patterns.
    """

    def __init__(
        self,
        directory: Path,
        most: int,
        allowed: AllowedPaths | None = None,
        excluded: tuple[str, ...] = (),
        known: Container[str] = (),
    ) -> None:
        self.newest = 0
        self.left_out: dict[str, str] = {}
        self._excluded = excluded
        self._known = known
        self._allowed = allowed
        self._directory = str(directory)
        self._most = most
        self._count = 0
        self._seen: set[Identity] = set()
        self._waiting: list[tuple[str, str]] = []
        self._links: list[tuple[str, str]] = []

    def files(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield the path below the directory and the entry of every file; raises `DirectoryError`."""
        try:
            self._enter("", self._directory)
        except (OSError, ValueError) as e:
            raise unusable(self._directory, e) from e
        if not os.path.isdir(self._directory):
            raise NotADirectory(f"Path is not a directory: {display(self._directory)}")
        while self._waiting or self._links:
            if not self._waiting:
                self._follow_a_link()
                continue
            yield from self._files_in(*self._waiting.pop())
            if self._count > self._most or len(self._seen) > self._most:
                name = display(self._directory)
                raise DirectoryTooLarge(f"{name} holds more than {self._most:,} files or folders (max_files)")

    def _files_in(self, prefix: str, folder: str) -> list[tuple[str, os.DirEntry[str]]]:
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError as e:
            if not prefix or e.errno in EXHAUSTED:
                raise unusable(folder, e) from e
            self.left_out[prefix] = f"cannot be listed: {e.strerror}"
            return []
        if prefix and (why := why_marked(frozenset(entry.name for entry in found))):
            self.left_out[prefix] = why
            return []
        files, known = [], self._known
        for entry in found:
            name = entry.name
            if _is_folder(entry):
                self._note_folder(f"{prefix}{name}/", entry)
            elif name.endswith(".py") and ((path := prefix + name) in known or self._includes(path)):
                files.append((path, entry))
        self._count += len(files)
        return files

    def _note_folder(self, prefix: str, entry: os.DirEntry[str]) -> None:
        if entry.name.startswith(".") or entry.name == "__pycache__" or not self._includes(prefix):
            return
        if entry.is_symlink():
            self._links.append((prefix, entry.path))
        else:
            with suppress(OSError):  # it has gone, or may not be looked at
                self._enter(prefix, entry.path)

    def _includes(self, path: str) -> bool:
        is_hidden = path.startswith(".", path.rfind("/") + 1)
        why = "its name starts with a dot" if is_hidden else why_excluded(path, self._excluded)
        if why is not None:
            self.left_out[path] = why
        return why is None

    def _follow_a_link(self) -> None:
        self._links.sort(reverse=True)
        prefix, location = self._links.pop()
        if self._allowed is not None and not self._allowed.encloses(location):
            self.left_out[prefix] = "leads out of the allowed roots"
            return
        with suppress(OSError):
            self._enter(prefix, location)

    def _enter(self, prefix: str, location: str) -> None:
        status = os.stat(location)
        folder = status.st_dev, status.st_ino
        if folder not in self._seen:
            self._seen.add(folder)
            self.newest = max(self.newest, status.st_ctime_ns)
            self._waiting.append((prefix, location))


def unusable(directory: str, error: OSError | ValueError) -> DirectoryError:
    if isinstance(error, OSError) and error.errno not in _MISSING:
        return DirectoryNotReadable(f"Directory not readable: {display(directory)} ({error.strerror})")
    return DirectoryNotFound(f"Directory not found: {display(directory)}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False
