"""The character sets that one caller sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.errors import SetNotFound
from charhost.sets.character_sets import CharacterSets
from charhost.sets.view import full_name
from tests.sets.helpers import sets_of

GAMING = frozenset({"gaming"})


@pytest.fixture
async def sets(tmp_path: Path) -> CharacterSets:
    """Ada and Zed by default, and other ones of those names in the set `gaming`."""
    sets = sets_of(tmp_path, default=("Ada", "Zed"), gaming=("Ada", "Eve"))
    await sets.start()
    return sets


def found(sets: CharacterSets, name: str, names: frozenset[str] | None = None) -> str | None:
    one = sets.view(names).find(name)
    return one.name if one is not None else None


def test_bare_name_is_of_the_first_set(sets: CharacterSets) -> None:
    """A name without a set means a character of the first set that the caller sees."""
    assert (found(sets, "Ada"), found(sets, "Eve")) == ("Ada", None)
    assert (found(sets, "Ada", GAMING), found(sets, "Eve", GAMING)) == ("gaming/Ada", "gaming/Eve")


def test_name_may_have_its_set_in_front(sets: CharacterSets) -> None:
    """A set in front of the name reaches any set, the first one too."""
    names = ["gaming/Eve", "default/Zed", " gaming/Ada ", "gaming/Zed"]
    assert [found(sets, name) for name in names] == ["gaming/Eve", "Zed", "gaming/Ada", None]


def test_hidden_set_does_not_exist(sets: CharacterSets) -> None:
    """A caller finds nothing of a set that it may not use, by any way."""
    view = sets.view(GAMING)
    assert found(sets, "default/Ada", GAMING) is None
    assert view.member("default", "Ada") is None
    assert [named.name for named in view] == ["gaming"]
    with pytest.raises(SetNotFound):
        view.named("default")


def test_view_may_be_narrowed(sets: CharacterSets) -> None:
    """The view of one set has its characters by their bare names."""
    one = sets.view().narrowed("gaming").find("Eve")
    assert one is not None
    assert one.name == "gaming/Eve"
    with pytest.raises(SetNotFound):
        sets.view(GAMING).narrowed("default")


def test_all_characters_have_names_that_mean_them(sets: CharacterSets) -> None:
    """Each character is listed by the name that finds it."""
    assert [one.name for one in sets.view().characters()] == ["Ada", "Zed", "gaming/Ada", "gaming/Eve"]


def test_voice_is_of_the_first_set(sets: CharacterSets) -> None:
    """A path of a voice finds the character of the first set that has it."""
    one = sets.view().find_voice("voices/ada.wav")
    assert one is not None
    assert (one.name, sets.view().find_voice("voices/eve.wav")) == ("Ada", None)


def test_default_character_is_of_the_first_set(sets: CharacterSets) -> None:
    """Each caller has a default character, of the first set that it sees; without a set there is none."""
    names = [one and one.name for one in (sets.view().default(), sets.view(GAMING).default())]
    assert names == ["Ada", "gaming/Ada"]
    assert sets.view(frozenset()).default() is None


def test_name_of_the_default_set_is_bare() -> None:
    """Only characters of other sets have the set in front of their names."""
    assert [full_name(name, "Ada") for name in ("default", "gaming")] == ["Ada", "gaming/Ada"]
