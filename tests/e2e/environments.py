"""Environments of packages from the registries: each is installed once, and kept for the next run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def node_modules(*packages: str) -> Path:
    """Return a `node_modules` with these packages of npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")

    def install(folder: Path) -> None:
        _run("npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", *packages)

    return _kept("npm", packages, install) / "node_modules"


def python_with(*requirements: str) -> Path:
    """Return the interpreter of an environment with these requirements of pip."""

    def install(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check")
        _run(*pip, "install", "--quiet", "--no-compile", *requirements)

    return _kept("venv", requirements, install) / "bin" / "python"


def _kept(kind: str, packages: tuple[str, ...], install: Callable[[Path], None]) -> Path:
    """Return the folder of *packages*; skips the test where they cannot be installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "charhost-tests"
    folder = cache / f"{kind}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    complete = folder / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):  # tests run in several processes
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                install(folder)
            except subprocess.CalledProcessError as e:
                pytest.skip(f"{kind} could not install {', '.join(packages)}: {e.stderr[-300:]}")
            complete.touch()
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
