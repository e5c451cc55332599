"""Steps that several tests of a whole server share."""

from __future__ import annotations

import shutil
import subprocess


def may(command: str) -> bool:
    """Return whether this machine allows a command in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-Urm", "sh", "-euc", command], capture_output=True).returncode == 0
