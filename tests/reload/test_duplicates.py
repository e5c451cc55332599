"""Of two files with one name the one that was there first serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import Write

# The names that file managers, sync programs and people give to a copy of ada.py.
COPIES = [
    "ada copy.py",
    "ada - Copy.py",
    "ada (1).py",
    "ada (copy).py",
    "Copy of ada.py",
    "Kopie von ada.py",
    "Ada.py",
    "ada-old.py",
    "ada (Jane's conflicted copy 2026-11-30).py",
    "ada (conflicted copy 2026-11-30 082632).py",
    "ada.sync-conflict-20261130-082632-ABCDEFG.py",
]
KEEP = ReloadRequest(scope="changed", on_error="keep")


def server_of(manager: CharacterManager) -> str:
    """The file of the character that serves as Ada."""
    return manager.current["Ada"].file


@pytest.mark.parametrize("copy", COPIES)
async def test_copy_takes_nothing_over(manager: CharacterManager, write: Write, copy: str) -> None:
    """A copy beside the file is an error that names both, and edits of the file go on to count."""
    write(copy, character("Ada", "Of the copy."))
    (error,) = (await manager.reload_characters(KEEP, trigger="watch")).errors
    assert (error.file, error.error_type, error.character, error.line) == (copy, "DuplicateName", "Ada", 2)
    assert "CHARACTER_NAME of ada.py" in error.message
    assert f"ada.py serves, {copy} does not" in error.message
    write("ada.py", character("Ada", "Edited."))
    await manager.reload_characters(KEEP, trigger="watch")
    assert (server_of(manager), prompt(manager)) == ("ada.py", "Edited.")


@pytest.mark.parametrize("copy", [name for name in COPIES if len(name) > len("ada.py")])
async def test_copy_takes_nothing_over_at_a_start(settings: Settings, write: Write, copy: str) -> None:
    """Among files that do not serve yet the shortest name wins, so a restart changes nothing."""
    write(copy, character("Ada", "Of the copy."))
    manager = CharacterManager(settings, Metrics())
    report = await manager.reload_characters(trigger="startup")
    assert (server_of(manager), [error.file for error in report.errors]) == ("ada.py", [copy])


async def test_first_of_equally_short_names_wins(settings: Settings, write: Write) -> None:
    """Between names of one length the order of the alphabet decides."""
    write("aaa.py", character("Ada", "Of the other."))
    manager = CharacterManager(settings, Metrics())
    await manager.reload_characters(trigger="startup")
    assert server_of(manager) == "aaa.py"


@pytest.mark.parametrize("scope", ["all", "changed"])
async def test_shorter_name_comes_too_late(manager: CharacterManager, write: Write, scope: str) -> None:
    """A file whose character serves keeps its name, whatever the other file is called, in every scope."""
    write("a.py", character("Ada", "Of the other."))
    report = await manager.reload_characters(ReloadRequest.model_validate({"scope": scope}))
    assert (server_of(manager), [error.file for error in report.errors]) == ("ada.py", ["a.py"])


async def test_copy_serves_once_the_file_is_gone(manager: CharacterManager, write: Write, directory: Path) -> None:
    """A name that its file gives up is free, and then belongs to the one that has taken it."""
    write("ada copy.py", character("Ada", "Of the copy."))
    (directory / "ada.py").unlink()
    await manager.reload_characters(KEEP)
    assert server_of(manager) == "ada copy.py"
    write("ada.py", character("Ada", "Back."))
    report = await manager.reload_characters(KEEP)
    assert (server_of(manager), [error.file for error in report.errors]) == ("ada copy.py", ["ada.py"])


async def test_file_that_took_another_name_gives_up_its_own(manager: CharacterManager, write: Write) -> None:
    """Two files that exchange their names both serve."""
    write("bob.py", character("Bob"))
    await manager.reload_characters(KEEP)
    write("ada.py", character("Bob", "New Bob."))
    write("bob.py", character("Ada", "New Ada."))
    assert (await manager.reload_characters(KEEP)).errors == ()
    assert {name: found.file for name, found in manager.current.items()} == {"Bob": "ada.py", "Ada": "bob.py"}


async def test_failing_file_keeps_its_name_under_keep(manager: CharacterManager, write: Write) -> None:
    """With `keep` the last good version of a file that fails holds the name against the copy."""
    write("a.py", character("Ada", "Of the other."))
    write("ada.py", "broken(")
    report = await manager.reload_characters(KEEP)
    assert (server_of(manager), prompt(manager)) == ("ada.py", "Be kind.")
    assert [(error.file, error.error_type) for error in report.errors] == [
        ("a.py", "DuplicateName"),
        ("ada.py", "SyntaxError"),
    ]


async def test_failing_file_leaves_its_name_under_exclude(manager: CharacterManager, write: Write) -> None:
    """With `exclude` a file that fails serves nothing, so the other one does."""
    write("a.py", character("Ada", "Of the other."))
    write("ada.py", "broken(")
    await manager.reload_characters(ReloadRequest(on_error="exclude"))
    assert server_of(manager) == "a.py"


async def test_names_belong_to_no_file_of_another_directory(
    manager: CharacterManager, write: Write, tmp_path: Path
) -> None:
    """Only the files of the directory that serves hold their names."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "ada.py").write_text(character("Ada"))
    (other / "a.py").write_text(character("Ada"))
    await manager.reload_characters(ReloadRequest(directory=str(other)))
    assert server_of(manager) == "a.py"


async def test_set_stays_in_the_order_of_its_files(manager: CharacterManager, write: Write) -> None:
    """A file that takes the name of another keeps its former character, in its place of the order."""
    write("bob.py", character("Bob"))
    write("carl.py", character("Carl"))
    await manager.reload_characters(KEEP)
    write("bob.py", character("Ada"))
    write("carl.py", character("Carl", "Edited."))
    await manager.reload_characters(KEEP)
    assert list(manager.current) == ["Ada", "Bob", "Carl"]
