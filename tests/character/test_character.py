"""A set of characters, and the model that a character chooses."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from charhost.character.character import CharacterSet, LoadedModules, ModelChoice
from charhost.character.validation import character_in
from tests.character.helpers import character_of, error_of_line
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
            vars(module).get,
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


# Models


def test_nothing_is_chosen() -> None:
    """A choice is empty by default."""
    choice = ModelChoice()
    assert (choice.model, choice.url, choice.api_key_env, choice.options) == (None, None, None, {})


def test_options_are_those_of_a_request() -> None:
    """The options are the fields of a request: without model, address and key."""
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
    """Invalid values and unknown keys are refused, each by its key."""
    with pytest.raises(ValidationError) as caught:
        ModelChoice.model_validate(wrong)
    assert [error["loc"][0] for error in caught.value.errors()] == [*wrong]


def test_choice_is_frozen() -> None:
    """A choice cannot be changed."""
    with pytest.raises(ValidationError):
        ModelChoice().model = "m"


def test_model_of_a_character() -> None:
    """LLM sets the model, its options and its address."""
    choice = {"model": "llama3.2", "temperature": 0.2, "max_tokens": 300, "stop": "END", "url": "http://h:1/v1"}
    llm = character_of(f"{character()}LLM = {choice!r}").llm
    assert (llm.model, str(llm.url), llm.api_key_env) == ("llama3.2", "http://h:1/v1", None)
    assert llm.options == {"temperature": 0.2, "max_tokens": 300, "stop": ["END"]}


@pytest.mark.parametrize("line", ["", "LLM = {}", "LLM = {'model': None}", "import os; LLM = {'stop': ('a', 'b')}"])
def test_model_is_optional(line: str) -> None:
    """LLM and each of its keys are optional, and a tuple counts as a list."""
    assert character_of(f"{character()}{line}").llm.model is None


def test_nothing_is_chosen_without_llm() -> None:
    """Without LLM nothing is chosen."""
    assert character_of(character()).llm == ModelChoice()


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"modle": "m"}, f"LLM has 'modle': expected only {', '.join(ModelChoice.model_fields)}"),
        ({1: "m"}, f"LLM has '1': expected only {', '.join(ModelChoice.model_fields)}"),
        ({"model": 5}, "LLM['model'] is 5: Input should be a valid string"),
        ({"model": ""}, "LLM['model'] is '': String should have at least 1 character"),
        ({"temperature": 3}, "LLM['temperature'] is 3: Input should be less than or equal to 2"),
        ({"temperature": "hot"}, "LLM['temperature'] is 'hot': Input should be a valid number"),
        ({"max_tokens": 0}, "LLM['max_tokens'] is 0: Input should be greater than or equal to 1"),
        ({"stop": ["a", 5]}, "LLM['stop'] is 5: Input should be a valid string"),
        ({"url": "ftp://h"}, "LLM['url'] is 'ftp://h': URL scheme should be 'http' or 'https'"),
    ],
)
def test_wrong_choice_of_a_model(choice: dict[Any, Any], text: str) -> None:
    """A wrong value in LLM is an error with its key, and so is an unknown key."""
    assert error_of_line(f"LLM = {choice!r}") == text


@pytest.mark.parametrize(("value", "found"), [("None", "None"), ("'llama3.2'", "'llama3.2'"), ("[]", "of type list")])
def test_choice_of_a_model_is_no_dict(value: str, found: str) -> None:
    """LLM that is no dict is an error."""
    assert error_of_line(f"LLM = {value}") == f"LLM is {found}: expected a dict"


def test_all_wrong_choices_are_named() -> None:
    """Every wrong key of LLM is in the error."""
    text = error_of_line("LLM = {'model': 5, 'max_tokens': 0, 'mood': 1}")
    assert [part.split(" ")[0] for part in text.split("; ")] == ["LLM['model']", "LLM['max_tokens']", "LLM"]


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_key_in_the_address_of_a_model(scheme: str) -> None:
    """An address with a password is refused, and the password is not in the error."""
    text = error_of_line(f"LLM = {{'url': '{scheme}://me:s3cret@h'}}")
    assert text.startswith("LLM['url'] ")
    assert "s3cret" not in text
