"""The models of client data ignore unknown fields, and limit the size of an error."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from charhost.web.http.client_model import ClientModel, FirstError


class Order(ClientModel):
    """A model of client data."""

    numbers: Annotated[list[int], FirstError()] | None = None


def test_what_is_not_known_is_ignored() -> None:
    """A field that came with a newer client changes nothing."""
    assert Order.model_validate({"numbers": [1], "new": True}) == Order(numbers=[1])


def test_a_type_is_not_guessed() -> None:
    """A number in quotation marks is no number."""
    with pytest.raises(ValidationError):
        Order.model_validate({"numbers": ["1"]})


def test_many_mistakes_are_one_error() -> None:
    """Of a long list of wrong elements only the first one is in the error, which limits its memory."""
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"numbers": ["x"] * 1000})
    assert [error["loc"] for error in caught.value.errors()] == [("numbers", 0)]
