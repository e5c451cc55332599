"""The place of a directory in the file system."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from charhost.loading.directory_walk import Identity, identity


@dataclass(frozen=True)
class Place:
    """Where a directory really is; a notifier that was armed at another place reports nothing of this one."""

    real: str
    identity: Identity
    data: Identity | None

    @classmethod
    def of(cls, directory: Path) -> Place:
        """Return the place of *directory*; raises `OSError`."""
        data = None
        with suppress(OSError):
            # Kubernetes switches the link `..data` to replace all files of a volume at once.
            data = identity(directory / "..data")
        return cls(os.path.realpath(directory), identity(directory), data)
