"""`charhost new`: a file that loads, and nothing lost for it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.character.character import CharacterSet
from charhost.cli import app
from charhost.cli.names import stem_of
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from tests.conftest import character


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set is out of sight."""
    for name in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(name)


def new(name: str, directory: Path) -> Result:
    """The outcome of asking for a file."""
    return CliRunner().invoke(app, ["new", "--directory", str(directory), "--", name])


async def loaded(directory: Path) -> CharacterSet:
    """What a server makes of a directory."""
    manager = CharacterManager(Settings(directory=directory), Metrics())
    assert (await manager.reload_characters(trigger="startup")).errors == ()
    return manager.current


NAMES = ["Ada", "Zoë O'Hara", "北京", '"""\\', "{name}", "\\N{BULLET}", "-x", "import", "__init__", "3PO", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
async def test_file_loads_whatever_the_name(tmp_path: Path, name: str) -> None:
    """The file that is written loads as it is, under the very name, and its prompt names it."""
    assert new(name, tmp_path).exit_code == 0
    found = (await loaded(tmp_path))[name]
    assert f"You are {name}." in found.prompt_generator(found.instructions).make_system_prompt()
    assert found.is_good


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Ada", "ada"),
        ("Professor Quill", "professor_quill"),
        ("Zoë O'Hara", "zoe_o_hara"),
        ("Ærø", "ærø"),
        ("北京", "北京"),
        ("../../etc/passwd", "etc_passwd"),
        ("__init__", "init"),
        ("!?", "character"),
        ("x" * 200, "x" * 60),
        ("北" * 200, "北" * 20),
    ],
)
def test_file_is_named_after_the_character(name: str, stem: str) -> None:
    """Lower case, ASCII where that is possible, never a path and never a helper."""
    assert stem_of(name) == stem


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    """The next commands can be pasted into a shell."""
    lines = new("Zoë O'Hara", tmp_path).stdout.splitlines()
    assert lines[0] == f"✓ Wrote {tmp_path}/zoe_o_hara.py"
    assert ["charhost", "preview", "Zoë O'Hara", "--directory", str(tmp_path)] in [
        shlex.split(line) for line in lines[3:]
    ]


def test_file_is_not_overwritten(directory: Path) -> None:
    """A file of that name stays as it is, though its character is called otherwise."""
    before = (directory / "ada.py").read_text()
    result = new("ada", directory)
    assert (result.exit_code, "exists already" in result.stderr) == (1, True)
    assert (directory / "ada.py").read_text() == before


def test_broken_link_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written through a link that leads nowhere yet."""
    (tmp_path / "ada.py").symlink_to(tmp_path / "elsewhere")
    assert new("Ada", tmp_path).exit_code == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("written", ["Bob", " Bob ", "Zoe\u0308"])
def test_name_of_another_file_is_refused(directory: Path, write: Callable[[str, str], Path], written: str) -> None:
    """Two files of one name would be an error of the second; the comparison is that of a reload."""
    write("other.py", character(written))
    result = new("Zoë" if "Z" in written else "Bob", directory)
    assert (result.exit_code, "other.py in" in result.stderr) == (1, True)
    assert sorted(path.name for path in directory.glob("*.py")) == ["ada.py", "other.py"]


@pytest.mark.parametrize("block", ["if True:", "with OPEN:", "try:"])
def test_name_in_a_block_is_refused(directory: Path, write: Callable[[str, str], Path], block: str) -> None:
    """A name that stands inside a block is taken too."""
    write("other.py", f"{block}\n    CHARACTER_NAME = 'Bob'\n{'finally: pass' if block == 'try:' else ''}")
    result = new("Bob", directory)
    assert (result.exit_code, "other.py in" in result.stderr) == (1, True)


def test_other_files_are_not_run(directory: Path, write: Callable[[str, str], Path], tmp_path: Path) -> None:
    """To look for the name no code is executed, and files that cannot be read as Python are no obstacle."""
    write("bob.py", f"open({str(tmp_path / 'run')!r}, 'w')\nCHARACTER_NAME: str = 'Bob'")
    write("broken.py", "(")
    write("computed.py", "CHARACTER_NAME = 'E' + 've'")
    assert [new(name, directory).exit_code for name in ("Bob", "Eve")] == [1, 0]
    assert not (tmp_path / "run").exists()


def test_directory_is_made(tmp_path: Path) -> None:
    """Whoever begins has no directory yet."""
    assert new("Ada", tmp_path / "my" / "characters").exit_code == 0
    assert (tmp_path / "my" / "characters" / "ada.py").exists()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J", "x" * 201, "\udcff"])
def test_what_is_no_name_ends_with_2(tmp_path: Path, name: str) -> None:
    """A name that no client could ask for is wrong usage."""
    assert (new(name, tmp_path).exit_code, list(tmp_path.iterdir())) == (2, [])


def test_without_a_directory_it_is_that_of_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file goes where `charhost serve` would look."""
    monkeypatch.setenv("CHARHOST_DIRECTORY", str(tmp_path))
    assert CliRunner().invoke(app, ["new", "Ada"]).exit_code == 0
    assert (tmp_path / "ada.py").exists()


def test_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    """What is in the way is named."""
    (tmp_path / "file").touch()
    result = new("Ada", tmp_path / "file")
    assert (result.exit_code, f"{tmp_path}/file" in result.stderr) == (1, True)
