"""A check in a child process on a machine without /proc."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import character

HIDE = ("unshare", "-Urm", "sh", "-euc", 'mount -t tmpfs tmpfs /proc && exec "$@"', "sh")


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*HIDE, "true"], capture_output=True).returncode != 0,
    reason="no file system can be mounted here",
)
def test_a_check_without_proc_executes_nothing(directory: Path) -> None:
    """What a file leaves behind could not be ended, so each file has an error with the missing mount."""
    (directory / "bob.py").write_text(character("Bob") + f"open({str(directory / 'executed')!r}, 'w')")
    command = [sys.executable, "-m", "charhost", "check", str(directory), "--json"]
    done = subprocess.run([*HIDE, *command], capture_output=True, text=True, timeout=60)
    errors = json.loads(done.stdout)["errors"]
    assert [(error["file"], error["error_type"]) for error in errors] == [("ada.py", "Crash"), ("bob.py", "Crash")]
    assert "/proc is not mounted here" in errors[0]["message"]
    assert (done.returncode, (directory / "executed").exists()) == (1, False)
