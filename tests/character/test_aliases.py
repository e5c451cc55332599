"""Ids in ASCII, and the keys of voices, of a set of characters."""

from __future__ import annotations

import pytest

from charhost.character.character import Character, CharacterSet
from tests.character.helpers import character_of
from tests.conftest import character


def set_of(*characters: Character) -> CharacterSet:
    """Return the set of these characters."""
    return CharacterSet("/characters", 1, {one.name: one for one in characters})


def named(*names: str) -> CharacterSet:
    """Return a set of characters with these names."""
    return set_of(*(character_of(character(name)) for name in names))


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        *(("Professor Quill", "professor-quill"), ("Noémie", "noemie"), ("Ada", "Ada"), ("C/3PO!", "c-3po")),
        *(("L'Été à Lyon", "l-ete-a-lyon"), ("李白", "character-b23f840f"), ("№ 5", "no-5")),
    ],
)
def test_every_character_has_an_alias(name: str, alias: str) -> None:
    """An alias is the name in ASCII, or a digest of a name that has no letter of ASCII."""
    characters = named(name)
    assert characters.aliases == {name: alias}
    assert characters.find(alias) is characters[name]


def test_a_name_wins_over_an_alias() -> None:
    """No alias is another character's name or alias."""
    characters = named("É!", "e", "e?", "E")
    assert characters.aliases == {"É!": "e-2", "e": "e", "e?": "e-3", "E": "E"}
    assert [characters.find(alias) for alias in ("e-2", "e", "e-3", "E")] == list(characters.values())


@pytest.mark.parametrize("name", ["Professor-Quill", "ada", "professor quill"])
def test_an_alias_is_exact(name: str) -> None:
    """What only resembles a name or an alias finds no character."""
    assert named("Professor Quill", "Ada").find(name) is None


def voiced(name: str, path: str, good: bool = True) -> Character:
    """Return a character with the voice in that file."""
    source = character(name).replace(f"voices/{name.lower()}.wav", path)
    return character_of(source.replace('"good": True', f'"good": {good}'))


def test_a_file_is_the_key_of_one_voice() -> None:
    """A file that two good characters share is the key of neither, nor is one of two that are not good."""
    ada, bob, cleo = voiced("Ada", "one.wav"), voiced("Bob", "two.wav"), voiced("Cleo", "two.wav")
    dora, eve = voiced("Dora", "three.wav", good=False), voiced("Eve", "three.wav", good=False)
    hidden = voiced("Fay", "one.wav", good=False)
    assert set_of(ada, bob, cleo, dora, eve, hidden).by_voice == {"one.wav": ada}
