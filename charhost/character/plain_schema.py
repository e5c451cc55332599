"""The JSON Schemas of most tools: so plain that they are valid without the libraries, which take long to import."""

from collections.abc import Mapping
from typing import Any

_TYPES = {"string", "integer", "number", "boolean", "object", "array", "null"}
_TEXTS = ("title", "description")


def is_plain(schema: Any) -> bool:
    """Return whether a schema has only types, texts, enumerations, properties and items, all of which are valid."""
    return isinstance(schema, Mapping) and all(_is_valid(name, value) for name, value in schema.items())


def _is_valid(name: str, value: Any) -> bool:
    match name:
        case "type":
            return isinstance(value, str) and value in _TYPES
        case "properties":
            return isinstance(value, Mapping) and all(map(is_plain, value.values()))
        case "items":
            return is_plain(value)
        case "enum":
            return isinstance(value, list) and all(isinstance(choice, str) for choice in value)
        case "required":
            return _are_names(value)
        case "additionalProperties":
            return isinstance(value, bool)
        case "minimum" | "maximum":
            return type(value) in (int, float)
    return name in _TEXTS and isinstance(value, str)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len({*value}) == len(value)
