"""`scripts/environment` installs with uv where that works, and with pip where it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = '#!/bin/sh\nset -eu\n. "$(dirname -- "$0")/environment"\ninstall "$1"\n'

# Programs that write their arguments down: a Python that is new enough, and uv.
PYTHON = """#!/bin/sh
case $* in
-c*) exit ;;
"-m pip"*" uv") [ -n "${INSTALLS_UV:-}" ] && cp "$UV" "$(dirname -- "$0")/uv" ;;
esac
echo "python $*" >>"$LOG"
"""
UV = """#!/bin/sh
echo "uv $*" >>"$LOG"
exit "${UV_FAILS:-0}"
"""


def program(path: Path, text: str) -> Path:
    """Write a program, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment, and a script that installs into it."""
    program(tmp_path / "scripts" / "go", PROGRAM)
    shutil.copy(ROOT / "scripts" / "environment", tmp_path / "scripts")
    for name in ("setup.cfg", "pyproject.toml"):
        (tmp_path / name).touch()
    program(tmp_path / ".venv" / "bin" / "python", PYTHON)
    return tmp_path


def installed(checkout: Path, extras: str, *, with_uv: bool = False, **environment: str) -> list[str]:
    """Install, and return what was run for it; *with_uv* there is one on the PATH."""
    uv, log = program(checkout / ("on_path" if with_uv else "elsewhere") / "uv", UV), checkout / "log"
    log.write_text("")
    path = os.pathsep.join(filter(None, [str(uv.parent) if with_uv else "", "/usr/bin", "/bin"]))
    variables = {"PATH": path, "LOG": str(log), "UV": str(uv), **environment}
    subprocess.run([checkout / "scripts" / "go", extras], env=variables, check=True, capture_output=True)
    return log.read_text().replace(str(checkout), "ROOT").splitlines()


WITH_UV = "uv pip install --quiet --python ROOT/.venv/bin/python --compile-bytecode --editable ROOT[bench]"
GET_UV = "python -m pip install --quiet --disable-pip-version-check uv"
WITH_PIP = "python -m pip install --quiet --disable-pip-version-check --editable ROOT[bench]"


def test_uv_of_the_path(checkout: Path) -> None:
    """The uv that is there installs into the environment; what is installed is not installed again."""
    assert installed(checkout, "bench", with_uv=True) == [WITH_UV]
    assert installed(checkout, "bench", with_uv=True) == []
    assert installed(checkout, "", with_uv=True) == [WITH_UV.replace("[bench]", "")]


@pytest.mark.skipif(shutil.which("uv", path="/usr/bin:/bin") is not None, reason="this machine has uv")
def test_uv_of_pip(checkout: Path) -> None:
    """Without one pip puts it into the environment, once."""
    assert installed(checkout, "bench", INSTALLS_UV="yes") == [GET_UV, WITH_UV]
    assert installed(checkout, "") == [WITH_UV.replace("[bench]", "")]


@pytest.mark.skipif(shutil.which("uv", path="/usr/bin:/bin") is not None, reason="this machine has uv")
def test_pip_where_there_is_no_uv(checkout: Path) -> None:
    """Where pip has no uv for the machine, it installs everything itself."""
    program(checkout / ".venv" / "bin" / "python", PYTHON.replace('uv") ', 'uv") exit 1; '))
    assert installed(checkout, "bench") == [WITH_PIP]


def test_pip_where_uv_fails(checkout: Path) -> None:
    """What uv cannot install pip does, with the same result."""
    assert installed(checkout, "bench", with_uv=True, UV_FAILS="1") == [WITH_UV, WITH_PIP]
    assert installed(checkout, "bench", with_uv=True, UV_FAILS="1") == []
