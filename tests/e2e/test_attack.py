"""A server under all attacks at once, for half a minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 240


@pytest.mark.slow
def test_good_clients_have_their_answers_under_attack(tmp_path: Path) -> None:
    """Each answer comes within a minute, memory does not multiply, and the log is short and without tracebacks."""
    log = tmp_path / "server.log"
    options = ("--minutes", "0.5", "--growth", "3", "--log", str(log))
    command = (sys.executable, "-m", "scripts.benchmarks", "attack", *options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert "| compressed bombs" in done.stdout
    assert "Traceback" not in log.read_text()
