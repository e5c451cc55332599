"""The registry of a server's sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.character.character import CharacterSet
from charhost.errors import ReloadRejected, SetNotFound, Stopping
from charhost.reload.set_records import SetDefinition
from charhost.report import ReloadReport
from charhost.sets.character_sets import CharacterSets
from tests.conftest import character
from tests.sets.helpers import sets_of


@pytest.fixture
async def sets(tmp_path: Path) -> CharacterSets:
    """A server's sets with Ada in the default one."""
    sets = sets_of(tmp_path, default=("Ada",))
    await sets.start()
    return sets


@pytest.fixture
def games(tmp_path: Path) -> SetDefinition:
    """A set with Zed, which is not there yet."""
    (tmp_path / "games").mkdir()
    (tmp_path / "games" / "zed.py").write_text(character("Zed"))
    return SetDefinition("gaming", str(tmp_path / "games"), watch=False)


def names(sets: CharacterSets) -> list[str]:
    return [named.name for named in sets]


async def test_sets_of_the_settings_are_loaded(tmp_path: Path) -> None:
    """Each set has its own characters, and that of `--directory` is the first."""
    sets = sets_of(tmp_path, default=("Ada",), gaming=("Zed",))
    await sets.start()
    assert {named.name: list(named.manager.current) for named in sets} == {"default": ["Ada"], "gaming": ["Zed"]}
    assert sets.default.name == "default"


async def test_set_is_added_and_removed(sets: CharacterSets, games: SetDefinition) -> None:
    """A set serves once it is added, and is gone once it is removed."""
    report, is_new = await sets.put(games)
    assert (report.outcome, is_new, names(sets)) == ("applied", True, ["default", "gaming"])
    await sets.remove("gaming")
    assert names(sets) == ["default"]
    with pytest.raises(SetNotFound):
        await sets.remove("gaming")


async def test_set_moves_to_another_directory(sets: CharacterSets, games: SetDefinition, tmp_path: Path) -> None:
    """A set that is put again has the characters of the other directory, which becomes its default one."""
    await sets.put(games)
    other = tmp_path / "other"
    other.mkdir()
    (other / "eve.py").write_text(character("Eve"))
    _, is_new = await sets.put(SetDefinition("gaming", str(other), watch=False))
    manager = sets.view().named("gaming").manager
    assert (is_new, list(manager.current), manager.start_directory) == (False, ["Eve"], other)


async def test_set_that_does_not_load_is_not_added(sets: CharacterSets, games: SetDefinition) -> None:
    """A set without a character that loads leaves no trace."""
    (Path(games.directory) / "zed.py").write_text("1/0")
    with pytest.raises(ReloadRejected):
        await sets.put(games)
    assert names(sets) == ["default"]


async def test_listeners_get_the_reports_of_all_sets(sets: CharacterSets, games: SetDefinition) -> None:
    """A listener is called with each report and the characters after it, also of sets that come later."""
    heard: list[tuple[str, list[str]]] = []

    def listen(report: ReloadReport, current: CharacterSet) -> None:
        heard.append((report.set, list(current)))

    sets.listen(listen)
    await sets.put(games)
    await sets.default.manager.reload_characters()
    assert heard == [("gaming", ["Zed"]), ("default", ["Ada"])]


async def test_set_of_another_node_is_seen_once_it_serves(sets: CharacterSets, games: SetDefinition) -> None:
    """A set that the fleet has added is there after its first reload, and gone when the fleet drops it."""
    manager = sets.follow("gaming", games.directory)
    assert names(sets) == ["default"]
    await manager.reload_characters()
    assert names(sets) == ["default", "gaming"]
    await sets.drop("gaming")
    assert names(sets) == ["default"]


async def test_no_set_is_added_at_the_end(sets: CharacterSets, games: SetDefinition) -> None:
    """Once the server stops, a set is refused."""
    await sets.close(0)
    with pytest.raises(Stopping):
        await sets.put(games)
