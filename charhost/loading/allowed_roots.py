import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from charhost.errors import DirectoryNotAllowed


@dataclass(frozen=True)
class AllowedPaths:
    """The bounds of one reading of a directory: the roots, and the directory itself, without any links."""

    places: tuple[str, ...]

    def encloses(self, location: str) -> bool:
        """Return whether a path leads, by whatever links, to a place inside."""
        return _is_below(os.path.realpath(location), self.places)

    def holds(self, descriptor: int) -> bool:
        """Return whether an open file lies inside, whatever its path leads to by now; `OSError` without /proc."""
        with suppress(OSError):
            return _is_below(os.readlink(f"/proc/self/fd/{descriptor}"), self.places)
        raise PermissionError(errno.EACCES, "whether it is below the allowed roots is unknown without /proc: mount it")


class AllowedRoots:
    """The directories below which a reload may read; *start*, if there is one, may be read wherever it is.

    Both the text of a path and the place it leads to have to lie below a root. Whether there is anything at a path
    that does not is never looked at, so the refusal cannot reveal it.
    """

    def __init__(self, roots: Iterable[Path], start: Path | None) -> None:
        self._roots = tuple(os.path.normpath(root) for root in roots)
        self._start = str(start)

    def admit(self, directory: Path, real: str) -> tuple[str, ...]:
        """Return the roots without links; raise `DirectoryNotAllowed` unless path and target lie below one."""
        path, places = os.path.normpath(directory), tuple(os.path.realpath(root) for root in self._roots)
        if str(directory) != self._start and not (_is_below(path, (*self._roots, *places)) and _is_below(real, places)):
            raise DirectoryNotAllowed("The directory is not below one of the allowed roots (CHARHOST_ALLOWED_ROOTS).")
        return places

    def allowed(self, directory: Path) -> AllowedPaths:
        """Return the bounds for a reading of *directory*; raise `DirectoryNotAllowed`."""
        real = os.path.realpath(directory)
        return AllowedPaths((*self.admit(directory, real), real))


def _is_below(path: str, places: Iterable[str]) -> bool:
    # By components: `/srv/chars-evil` is not below `/srv/chars`.
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)
