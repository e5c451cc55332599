"""The memory of the machine, or of the control group in which the server runs."""

import os
from collections.abc import Iterator
from pathlib import Path


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may use at most: of the machine, and of each control group around it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)])


def resident_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process has in memory (proc_pid_statm(5)); 0 where the system does not show them."""
    try:
        return int((root / "proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _limits(root: Path) -> Iterator[int]:
    for file in _files(root):
        try:
            yield int(file.read_text())
        except (OSError, ValueError):  # "max", or a group that this container does not show
            continue


def _files(root: Path) -> Iterator[Path]:
    """Yield the files with the limits of the groups of this process (cgroups(7)), in version 2 and in version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield from _upwards(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _upwards(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")


def _upwards(mount: Path, path: str, name: str) -> Iterator[Path]:
    group = Path(path.lstrip("/"))
    for above in (group, *group.parents):
        yield mount / above / name
