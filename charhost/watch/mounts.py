"""The kernel's table of mounts (proc(5), /proc/self/mountinfo)."""

import os
import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")

# File systems that send no events for changes made by another machine, or by the host of a container.
_SILENT = re.compile(
    r"nfs\d?|cifs|smb\w*|ncpfs|9p|gofer|virtiofs|fuse(\..+)?|fuseblk|drvfs|wslfs|fakeowner|osxfs|vboxsf|prl_\w+|vmhgfs"
    r"|hgfs|hostfs|k?afs|coda|ceph|glusterfs|lustre|gpfs|mmfs|beegfs\w*|pvfs2|orangefs|panfs|wekafs|cvfs|gfs2?|ocfs2"
)

# The mount point is the fifth field of a line; the type of the file system follows the hyphen.
_LINE = re.compile(r"^(?:[^ ]+ ){4}([^ ]+) .*? - ([^ ]+)", re.MULTILINE)


def sends_events(path: str) -> bool:
    """Return whether the type of the file system of *path* sends events."""
    above = [mount for mount in _mounts() if f"{path}/".startswith(mount[0].rstrip("/") + "/")]
    # The longest mount point holds the path; of equal ones the last was mounted over the others.
    _, kind = max(reversed(above), key=lambda mount: len(mount[0]), default=("", ""))
    return _SILENT.fullmatch(kind) is None


def mounted_below(directory: str) -> list[str]:
    """Return the points below *directory* at which something is mounted."""
    return [point for point, _ in _mounts() if point.startswith(directory.rstrip("/") + "/")]


def mounted_files(directory: str) -> list[str]:
    """Return the files below *directory* that are mounts of their own: a new version of one never arrives."""
    return list(filter(os.path.isfile, mounted_below(directory)))


def _mounts() -> list[tuple[str, str]]:
    """Return each mount point with the type of its file system."""
    try:
        table = TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux
        return []
    return [(re.sub(r"\\(\d{3})", _unescape, point), kind) for point, kind in _LINE.findall(table)]


def _unescape(octal: re.Match[str]) -> str:
    return chr(int(octal[1], 8))
