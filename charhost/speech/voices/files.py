"""Files of voices, of which none outside a few directories is opened."""

import stat
from collections.abc import Iterable
from pathlib import Path


def file_below(path: str, folders: Iterable[Path]) -> Path | None:
    """Return the regular file at *path* in the first of the *folders* that has it, links resolved.

    A path or a link that leads out of the folder is not followed.
    """
    for folder in folders:
        try:
            root = folder.resolve(strict=True)
            found = (root / path).resolve(strict=True)
            if found.is_relative_to(root) and stat.S_ISREG(found.stat().st_mode):
                return found
        except (OSError, RuntimeError, ValueError):  # not there, a loop of links, a zero byte
            continue
    return None
