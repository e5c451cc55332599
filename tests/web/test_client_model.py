"""Models of what clients send: lenient where they are new, and never a burden."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from charhost.web.client_model import ClientModel, FirstError


class Order(ClientModel):
    """What a client may send."""

    numbers: Annotated[list[int], FirstError()] | None = None


def test_what_is_not_known_is_ignored() -> None:
    """A field that came with a newer client changes nothing."""
    assert Order.model_validate({"numbers": [1], "new": True}) == Order(numbers=[1])


def test_a_type_is_not_guessed() -> None:
    """A number in quotation marks is no number."""
    with pytest.raises(ValidationError):
        Order.model_validate({"numbers": ["1"]})


def test_many_mistakes_are_one_error() -> None:
    """Of a long list of wrong elements only the first one is spoken of: an error for each would fill the memory."""
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"numbers": ["x"] * 1000})
    assert [error["loc"] for error in caught.value.errors()] == [("numbers", 0)]
