"""JSON encoding and decoding.

JSON can contain a lone surrogate (JavaScript sends one when it cuts an emoji in two), UTF-8 cannot; both directions
replace it by U+FFFD. The json module is not used, because a character file may have patched it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

Json = dict[str, Any]

_ESCAPED = re.compile(
    rb"\\u[dD][89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][\da-fA-F]{2})\\u[dD][c-fC-F][\da-fA-F]{2}"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def decoded(text: str | bytes, *, allow_nan: bool = False) -> Any:
    """Return the value of a JSON text; raise `ValueError` if it is invalid."""
    try:
        return from_json(text, allow_inf_nan=allow_nan)
    except ValueError:
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        mended = _ESCAPED.sub(rb"\\ufffd", data)
        if mended == data:
            raise
        return from_json(mended, allow_inf_nan=allow_nan)


def integer(value: object) -> object:
    """Return a float without a fraction as an int: in JSON, and so in JSON Schema, 2.0 and 2 are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encoded(value: Any) -> bytes:
    """Return *value* as JSON; NaN, which JSON does not have, becomes null."""
    try:
        return to_json(value, inf_nan_mode="null", fallback=_plain)
    except (ValueError, PydanticSerializationError):  # most likely a lone surrogate
        return to_json(_without_surrogates(value), inf_nan_mode="null", fallback=_plain)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
