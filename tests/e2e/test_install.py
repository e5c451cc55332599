"""charhost as pip installs it: the default characters come along."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession

from tests.e2e.conftest import running

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = sysconfig.get_paths()["purelib"]
ASK = """
import asyncio, json, sys
import charhost
from charhost.reload.manager import CharacterManager
from charhost.metrics import Metrics
from charhost.settings import Settings, default_directory

async def load():
    manager = CharacterManager(Settings(), Metrics())
    return (await manager.reload_characters(trigger="startup")).model_dump()

print(json.dumps([charhost.__file__, str(default_directory()), asyncio.run(load())]))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Return the output of a command; raise with its error output if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHARHOST_", "PYTHON"))}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Installed(NamedTuple):
    """An environment with charhost in it: where it and its characters are, and the report of their load."""

    environment: Path
    package: Path
    directory: Path
    report: Any


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's files, so that a build leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("source") / "charhost"
    copy.mkdir()
    for name in ("charhost", "characters", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by pip in an isolated environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps")
    run(*pip, "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("charhost-*.whl")
    return wheel


def environment(folder: Path) -> Path:
    """Make an environment with the libraries of this one, without charhost; return its Python."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=folder).strip())
    for entry in os.scandir(LIBRARIES):
        if "charhost" not in entry.name and not entry.name.endswith(".pth"):
            (packages / entry.name).symlink_to(entry.path)
    return python


def installed(folder: Path, *arguments: str | Path) -> Installed:
    """Install so into a fresh environment."""
    python = environment(folder)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", *arguments, cwd=folder)
    package, directory, report = json.loads(run(python, "-c", ASK, cwd=folder).splitlines()[-1])
    return Installed(folder, Path(package), Path(directory), report)


@pytest.fixture(scope="module")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The installed wheel, which no test changes."""
    return installed(tmp_path_factory.mktemp("installed") / "venv", "--no-index", wheel)


def test_a_wheel_brings_the_default_characters(from_wheel: Installed) -> None:
    """Installed from a wheel, charhost finds its characters, and all of them load."""
    environment, package, directory, report = from_wheel
    assert package.is_relative_to(environment)
    assert directory == package.parent / "default_characters"
    assert (report["outcome"], report["errors"]) == ("applied", [])
    assert report["total_files"] == len(list((ROOT / "characters").glob("[!_]*.py")))


def test_a_wheel_brings_the_command(from_wheel: Installed, tmp_path: Path) -> None:
    """Installed from a wheel, there is a `charhost` command."""
    assert run(from_wheel.environment / "bin" / "charhost", "--version", cwd=tmp_path).startswith("charhost ")


def test_a_wheel_brings_types_and_the_description_of_the_format(from_wheel: Installed) -> None:
    """A wheel has `py.typed`, and the page that explains character files beside them."""
    _, package, directory, _ = from_wheel
    assert (package.parent / "py.typed").is_file()
    assert (directory / "README.md").is_file()


def test_a_wheel_brings_all_of_the_studio(from_wheel: Installed) -> None:
    """A wheel has every file of the page, in every folder."""
    studio, installed = ROOT / "charhost/web/studio", from_wheel.package.parent / "web" / "studio"
    files = [
        file.relative_to(studio) for suffix in ("html", "js", "css", "svg") for file in studio.rglob(f"*.{suffix}")
    ]
    assert len(files) > 25
    assert [file for file in files if not (installed / file).is_file()] == []


async def test_a_wheel_brings_the_manual(from_wheel: Installed, characters: Path, tmp_path: Path) -> None:
    """A server that was installed from a wheel serves the manual, the page of its API and their style at /docs."""
    python, elsewhere = str(from_wheel.environment / "bin" / "python"), ("env", "-C", str(tmp_path))
    async with running(characters, before=elsewhere, python=python) as server, ClientSession() as client:
        for page in ("", "/settings", "/character-format", "/api", "/style.css", "/page.js"):
            async with client.get(f"{server.url}/docs{page}") as response:
                assert response.status == 200, page


def test_an_editable_install_serves_the_checkout(source: Path, tmp_path: Path) -> None:
    """Installed with `pip install -e`, charhost serves the characters of the checkout, and all of them load."""
    _, package, directory, report = installed(tmp_path / "venv", "--editable", source)
    assert package.parent == source / "charhost"
    assert directory.samefile(source / "characters")
    assert (report["outcome"], report["errors"]) == ("applied", [])
