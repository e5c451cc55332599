"""A node whose packets to the engine vanish without a word, in a network namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def forbids_namespaces() -> str:
    """Return why there can be no network of its own here; empty if there can."""
    try:
        made = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    except OSError as e:
        return str(e)
    return made.stderr if made.returncode else ""


@pytest.mark.slow
def test_a_node_in_a_black_hole_notices_and_comes_back(tmp_path: Path) -> None:
    """It finds the engine unreachable though nothing was closed, serves on, and follows when packets arrive again."""
    if reason := forbids_namespaces():
        pytest.skip(f"no network namespaces here: {reason}")
    command = ["unshare", "-n", sys.executable, "-m", "tests.e2e.black_hole", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
