"""`charhost new` writes a character file that loads, and overwrites nothing."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.character.character import CharacterSet
from charhost.cli import app
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from tests.conftest import character


def new(name: str, directory: Path) -> Result:
    """Run `charhost new`, and return its result."""
    return CliRunner().invoke(app, ["new", "--directory", str(directory), "--", name])


async def loaded(directory: Path) -> CharacterSet:
    """Return the characters that a server loads from a directory."""
    manager = CharacterManager(Settings(directory=directory), Metrics())
    assert (await manager.reload_characters(trigger="startup")).errors == ()
    return manager.current


NAMES = ["Ada", "Zoë O'Hara", "北京", '"""\\', "{name}", "\\N{BULLET}", "-x", "import", "__init__", "3PO", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
async def test_file_loads_under_any_name(tmp_path: Path, name: str) -> None:
    """The new file loads under any valid name, and its prompt has that name."""
    assert new(name, tmp_path).exit_code == 0
    found = (await loaded(tmp_path))[name]
    assert f"You are {name}." in found.prompt_generator(found.instructions).make_system_prompt()
    assert found.is_good


def test_next_commands_are_printed(tmp_path: Path) -> None:
    """The next commands are printed, quoted for a shell."""
    lines = new("Zoë O'Hara", tmp_path).stdout.splitlines()
    assert lines[0] == f"✓ Wrote {tmp_path}/zoe_o_hara.py"
    assert ["charhost", "preview", "Zoë O'Hara", "--directory", str(tmp_path)] in [
        shlex.split(line) for line in lines[3:]
    ]


def test_file_is_not_overwritten(directory: Path) -> None:
    """An existing file of that name is not overwritten, although its character has another name."""
    before = (directory / "ada.py").read_text()
    result = new("ada", directory)
    assert (result.exit_code, "exists already" in result.stderr) == (1, True)
    assert (directory / "ada.py").read_text() == before


def test_broken_link_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written through a broken link."""
    (tmp_path / "ada.py").symlink_to(tmp_path / "elsewhere")
    assert new("Ada", tmp_path).exit_code == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("written", ["Bob", " Bob ", "Zoe\u0308"])
def test_name_of_another_file_is_refused(directory: Path, write: Callable[[str, str], Path], written: str) -> None:
    """The name of another file's character is refused, compared as in a reload."""
    write("other.py", character(written))
    result = new("Zoë" if "Z" in written else "Bob", directory)
    assert (result.exit_code, "other.py in" in result.stderr) == (1, True)
    assert sorted(path.name for path in directory.glob("*.py")) == ["ada.py", "other.py"]


@pytest.mark.parametrize("block", ["if True:", "with OPEN:", "try:"])
def test_name_in_a_block_is_refused(directory: Path, write: Callable[[str, str], Path], block: str) -> None:
    """A name that is assigned inside a block is refused."""
    write("other.py", f"{block}\n    CHARACTER_NAME = 'Bob'\n{'finally: pass' if block == 'try:' else ''}")
    result = new("Bob", directory)
    assert (result.exit_code, "other.py in" in result.stderr) == (1, True)


def test_other_files_are_not_run(directory: Path, write: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Other files are read without being executed, and invalid Python files do not matter."""
    write("bob.py", f"open({str(tmp_path / 'run')!r}, 'w')\nCHARACTER_NAME: str = 'Bob'")
    write("broken.py", "(")
    write("computed.py", "CHARACTER_NAME = 'eve'.title()")
    assert [new(name, directory).exit_code for name in ("Bob", "Eve")] == [1, 0]
    assert not (tmp_path / "run").exists()


def test_directory_is_made(tmp_path: Path) -> None:
    """A missing directory is made."""
    assert new("Ada", tmp_path / "my" / "characters").exit_code == 0
    assert (tmp_path / "my" / "characters" / "ada.py").exists()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J", "x" * 201, "\udcff"])
def test_invalid_name_ends_with_2(tmp_path: Path, name: str) -> None:
    """An invalid name ends with 2."""
    assert (new(name, tmp_path).exit_code, list(tmp_path.iterdir())) == (2, [])


def test_without_a_directory_it_is_that_of_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--directory` the file is written to the directory of the settings."""
    monkeypatch.setenv("CHARHOST_DIRECTORY", str(tmp_path))
    assert CliRunner().invoke(app, ["new", "Ada"]).exit_code == 0
    assert (tmp_path / "ada.py").exists()


def test_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    """A file in the place of the directory is named in the error."""
    (tmp_path / "file").touch()
    result = new("Ada", tmp_path / "file")
    assert (result.exit_code, f"{tmp_path}/file" in result.stderr) == (1, True)
