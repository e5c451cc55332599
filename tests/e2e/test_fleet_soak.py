"""A fleet under random faults, for a few minutes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

LIMIT = 1500
ROUNDS, CLIENTS = 20, 50


@pytest.mark.slow
def test_a_fleet_keeps_what_it_acknowledged() -> None:
    """After twenty faults no turn and no reload is missing, all nodes are equal, and they hold nothing more."""
    command = [sys.executable, *f"-m scripts.benchmarks fleet-soak --runs {ROUNDS} --clients {CLIENTS}".split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    counts = {name: int(number.replace(",", "")) for name, number in re.findall(r"\| (.+?) +\| ([\d,]+)", done.stdout)}
    # After each fault all clients come back, a few of them with a conversation that has just begun.
    assert counts["resumed"] >= ROUNDS * CLIENTS / 2
    assert counts["items found"] > counts["turns"] > CLIENTS
    assert counts["epochs found"] > 1
