"""Character sets, and which model a character speaks with; the errors of a wrong choice are in test_validation.py."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from charhost.character.character import CharacterSet, LoadedModules, ModelChoice
from charhost.character.validation import character_in
from tests.conftest import character

# Sets


def set_of(*names: str, **fingerprints: str) -> CharacterSet:
    """A set of characters, those named with a `!` not good."""
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
            modules=LoadedModules(),
        )
        found[made.name] = made
    return CharacterSet("/characters", 1, found)


@pytest.mark.parametrize("name", ["Zo\u00e9", "Zoe\u0301", "  Zo\u00e9 "])
def test_find_takes_names_as_people_write_them(name: str) -> None:
    """A name is found in any Unicode form and with spaces around it; another one is not."""
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
        (("Ada!", "Bob"), "Nobody", "Bob"),
        ((), "Ada", None),
        ((), None, None),
    ],
)
def test_default_is_who_was_asked_for_or_the_first_good_one(
    names: tuple[str, ...], asked: str | None, expected: str | None
) -> None:
    """The default is the one named, else the first good one, else the first, else nobody."""
    chosen = set_of(*names).default(asked)
    assert (chosen and chosen.name) == expected


def test_set_is_a_mapping() -> None:
    """A set is read like a dict, in its order, and cannot be changed."""
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
    """Sets of equal characters have one revision in whatever order; another fingerprint or name is another one."""
    revision = set_of(Ada="1", Bob="2").revision
    assert set_of(Bob="2", Ada="1").revision == revision
    others = [set_of(Ada="1"), set_of(Ada="2", Bob="2"), set_of(Ada="1", Eve="2"), set_of(Ada="2", Bob="1"), set_of()]
    assert len({revision, *(other.revision for other in others)}) == 6


# Models


def test_nothing_is_chosen() -> None:
    """A character that chooses nothing leaves all to the server."""
    choice = ModelChoice()
    assert (choice.model, choice.url, choice.api_key_env, choice.options) == (None, None, None, {})


def test_options_are_those_of_a_request() -> None:
    """What a request has fields for is given as such; model, address and key are not among it."""
    choice = ModelChoice.model_validate(
        {"model": "m", "temperature": 0, "max_tokens": 9, "url": "http://h/v1", "api_key_env": "KEY", "stop": ["a"]}
    )
    assert choice.options == {"temperature": 0, "max_tokens": 9, "stop": ["a"]}
    assert (choice.model, str(choice.url), choice.api_key_env) == ("m", "http://h/v1", "KEY")


@pytest.mark.parametrize(("stop", "stops"), [("END", ("END",)), (["a", "b"], ("a", "b")), (None, None)])
def test_one_or_several_stops(stop: Any, stops: tuple[str, ...] | None) -> None:
    """A single stop word need not be a list."""
    assert ModelChoice.model_validate({"stop": stop}).stop == stops


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": 5},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": "1"},
        {"temperature": True},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"stop": ""},
        {"stop": ["a", 5]},
        {"stop": {"a": 1}},
        {"url": "ftp://h/v1"},
        {"url": "h/v1"},
        {"url": ""},
        {"api_key_env": "MY KEY"},
        {"api_key_env": "1KEY"},
        {"api_key_env": "KEY\n"},
        {"api_key_env": ""},
        {"modle": "m"},
    ],
    ids=repr,
)
def test_wrong_choice(wrong: dict[str, Any]) -> None:
    """A value that no model could use is refused, and so is a key that has no meaning."""
    with pytest.raises(ValidationError) as caught:
        ModelChoice.model_validate(wrong)
    assert [error["loc"][0] for error in caught.value.errors()] == [*wrong]


def test_choice_is_frozen() -> None:
    """What a file chose holds until the file changes."""
    with pytest.raises(ValidationError):
        ModelChoice().model = "m"
