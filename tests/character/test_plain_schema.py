"""The schemas that are valid without a library that checks them."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.character.plain_schema import is_plain


def test_usual_schema_is_plain() -> None:
    """Types, texts, enumerations, bounds, properties and items are plain, also below each other."""
    assert is_plain(
        {
            "type": "object",
            "title": "Roll",
            "properties": {
                "sides": {"type": "integer", "minimum": 2, "maximum": 20.5, "description": "Of the die."},
                "colours": {"type": "array", "items": {"type": "string", "enum": ["red", "blue"]}},
            },
            "required": ["sides", "colours"],
            "additionalProperties": False,
        }
    )


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        {"type": "text"},
        {"type": ["string", "null"]},
        {"title": 5},
        {"enum": [1]},
        {"properties": ["a"]},
        {"properties": {"a": {"pattern": "^x"}}},
        {"items": [{"type": "string"}]},
        {"required": "a"},
        {"required": ["a", "a"]},
        {"additionalProperties": {"type": "string"}},
        {"minimum": True},
        {"$ref": "#/$defs/a"},
    ],
)
def test_other_schema_is_not_plain(schema: Any) -> None:
    """A keyword that is not known, or has another value than expected, is left to the library."""
    assert not is_plain(schema)
