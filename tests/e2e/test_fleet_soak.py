"""A fleet under random faults, for two minutes."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT = 540


@pytest.mark.slow
def test_a_fleet_keeps_what_it_acknowledged() -> None:
    """After twenty faults no turn and no reload is missing, all nodes are equal, and they hold nothing more."""
    command = (sys.executable, "-m", "scripts.benchmarks", "fleet-soak", "--runs", "20")
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "| epochs found" in done.stdout
