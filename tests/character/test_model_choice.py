"""Which model a character speaks with; what is said of a wrong choice is in test_checks.py."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from charhost.character.model_choice import ModelChoice


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
