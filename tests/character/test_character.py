"""A set of characters: its names, its default and its revision."""

from __future__ import annotations

from types import ModuleType

import pytest

from charhost.character.character import CharacterSet
from charhost.character.validation import character_in
from tests.conftest import character

# Sets


def set_of(*names: str, **fingerprints: str) -> CharacterSet:
    """Return a set of characters; a name with `!` is not good."""
    found = {}
    for name in [*names, *fingerprints]:
        source = character(name.rstrip("!")).replace('"good": True', f'"good": {"!" not in name}')
        module = ModuleType("x")
        exec(source, vars(module))
        made = character_in(
            module,
            str,
            file=f"{name}.py",
            location=f"/{name}.py",
            fingerprint=fingerprints.get(name, "1"),
            generation=1,
            lease=None,
        )
        found[made.name] = made
    return CharacterSet("/characters", 1, found)


@pytest.mark.parametrize("name", ["Zo\u00e9", "Zoe\u0301", "  Zo\u00e9 "])
def test_find_normalizes_the_name(name: str) -> None:
    """A name is found in any Unicode form and with spaces around it."""
    characters = set_of("Ada", "Zo\u00e9")
    found = characters.find(name)
    assert found is characters["Zo\u00e9"]
    assert characters.find("Zoe") is None


@pytest.mark.parametrize(
    ("names", "asked", "expected"),
    [
        (("Ada", "Bob"), None, "Ada"),
        (("Ada!", "Bob"), None, "Bob"),
        (("Ada!", "Bob!"), None, "Ada"),
        (("Ada", "Bob"), " Bob ", "Bob"),
        (("Ada", "Bob!"), "Bob", "Bob"),
        (("Ada!", "Bob"), "Eve", "Bob"),
        ((), "Ada", None),
        ((), None, None),
    ],
)
def test_default_is_the_named_or_first_good_one(
    names: tuple[str, ...], asked: str | None, expected: str | None
) -> None:
    """The default is the named character, else the first good one, else the first, else None."""
    chosen = set_of(*names).default(asked)
    assert (chosen and chosen.name) == expected


def test_set_is_a_mapping() -> None:
    """A set is an immutable mapping in its order."""
    characters = set_of("Bob", "Ada")
    assert (list(characters), len(characters), "Bob" in characters, "Eve" in characters) == (
        ["Bob", "Ada"],
        2,
        True,
        False,
    )
    with pytest.raises(TypeError):
        characters["Eve"] = characters["Ada"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        characters.generation = 5  # type: ignore[misc]


def test_revision_is_of_names_and_fingerprints() -> None:
    """The revision depends on the names and fingerprints, and not on their order."""
    revision = set_of(Ada="1", Bob="2").revision
    assert set_of(Bob="2", Ada="1").revision == revision
    others = [set_of(Ada="1"), set_of(Ada="2", Bob="2"), set_of(Ada="1", Eve="2"), set_of(Ada="2", Bob="1"), set_of()]
    assert len({revision, *(other.revision for other in others)}) == 6
