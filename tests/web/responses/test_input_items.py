"""The input items of a Responses request, as the API document describes them."""

from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from charhost.web.responses.input_items import InputItem

ITEMS: TypeAdapter[Any] = TypeAdapter(InputItem)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"type": {}},
        {"type": "reasonings"},
        {"id": "msg_1"},
        {"type": "function_call", "role": "user", "content": "Hi"},
    ],
)
def test_the_schema_refuses_what_the_model_refuses(item: dict[str, Any]) -> None:
    """An item is described with its type, so that a wrong one is not valid as an item of another type."""
    with pytest.raises(ValidationError):
        ITEMS.validate_python(item)
    assert not jsonschema.Draft202012Validator(ITEMS.json_schema()).is_valid(item)


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "developer", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "reasoning", "summary": []},
    ],
)
def test_the_model_accepts_what_the_schema_accepts(item: dict[str, Any]) -> None:
    """A message needs no type, every other item does."""
    ITEMS.validate_python(item)
    assert jsonschema.Draft202012Validator(ITEMS.json_schema()).is_valid(item)
