"""A build of a directory, and the traces of one."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot


def space_of(directory: Path, earlier: Snapshot | None = None) -> ModuleSpace:
    """Return a build of the files on the disk."""
    return ModuleSpace(take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20), earlier))


def left_of(build: int) -> list[str]:
    """Return the traces of a build: its modules, its loggers, its attribute on the package."""
    prefix = f"characters.b{build}"
    names = [*sys.modules, *logging.Logger.manager.loggerDict]
    found = [name for name in names if name == prefix or name.startswith(f"{prefix}.")]
    return found + [name for name in vars(sys.modules["characters"]) if name == f"b{build}"]


LIMITS = Limits(files=100, bytes=1 << 20, file_bytes=1 << 16)


def snap(directory: Path, earlier: Snapshot | None = None, limits: Limits = LIMITS) -> Snapshot:
    return take_snapshot(directory, limits, earlier)
