"""A node whose packets to the engine vanish without a word, in a network namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.helpers import may


@pytest.mark.slow
@pytest.mark.skipif(not may("ip link set lo up", "-n"), reason="no network namespace can be made here")
def test_a_node_in_a_black_hole_notices_and_comes_back(tmp_path: Path) -> None:
    """It finds the engine unreachable though nothing was closed, serves on, and follows when packets arrive again."""
    command = ["unshare", "-n", sys.executable, "-m", "tests.e2e.black_hole", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
