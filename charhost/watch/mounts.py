"""The kernel's table of mounts (proc(5), /proc/self/mountinfo)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

TABLE = Path("/proc/self/mountinfo")

# File systems that send no events for changes made by another machine, or by the host of a container.
_SILENT = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|virtiofs|fuse(\..+)?|fuseblk|drvfs|afs|ceph|glusterfs|vboxsf|prl_fs|lustre"
)


class Mount(NamedTuple):
    """One line of the table: the mount point, and the type of the file system."""

    point: str
    kind: str


def sends_events(path: str) -> bool:
    """Return whether the type of the file system of *path* sends events."""
    above = [mount for mount in _mounts() if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")]
    # The longest mount point holds the path; of equal ones the last was mounted over the others.
    holder = max(reversed(above), key=lambda mount: len(mount.point), default=None)
    return holder is None or _SILENT.fullmatch(holder.kind) is None


def mounted_files(directory: str) -> list[str]:
    """Return the files below *directory* that are mounts of their own: a new version of one never arrives."""
    below = [mount.point for mount in _mounts() if mount.point.startswith(directory.rstrip("/") + "/")]
    return [point for point in below if os.path.isfile(point)]


def _mounts() -> list[Mount]:
    try:
        lines = TABLE.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return []
    return [Mount(_unescape(before.split(" ")[4]), after.split(" ")[0]) for before, after in map(_halves, lines)]


def _halves(line: str) -> tuple[str, str]:
    before, _, after = line.partition(" - ")
    return before, after


def _unescape(point: str) -> str:
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), point)
