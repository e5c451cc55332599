"""JSON encoding and decoding.

JSON can contain a lone surrogate (JavaScript sends one when it cuts an emoji in two), UTF-8 cannot; both directions
replace it by U+FFFD. The json module is not used, because a character file may have patched it.

A text of others is decoded only if it has few values: three bytes of JSON can become a hundred of Python's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

Json = dict[str, Any]

# Of `,`, `[` and `{` outside of strings: about the number of values.
MOST_VALUES = 200_000
# Of `{` outside of strings in the text of a client: a message or a part of one is checked, weighed and sent on.
MOST_OBJECTS = 50_000

_CHUNK = 256 << 10

# Each begins with a literal, without which a search would take seconds for a long text.
_ESCAPED = tuple(
    re.compile(
        rb"\\u%b(?:[89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])"
        rb"|(?<!\\u[dD][89abAB][\da-fA-F]{2}\\u[dD])[c-fC-F][\da-fA-F]{2})" % letter
    )
    for letter in (b"d", b"D")
)
_MOST_MENDED = 8 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")


class TooManyValues(ValueError):
    """Raised for a JSON text of which little is too much."""

    def __init__(self, limit: _Limit) -> None:
        super().__init__(f"expected at most {limit.most:,} {limit.kind}, found more")


@dataclass(frozen=True, slots=True)
class _Limit:
    most: int
    kind: str
    marks: tuple[bytes, ...]


_VALUES = _Limit(MOST_VALUES, "values", (b",", b"[", b"{"))
_OBJECTS = _Limit(MOST_OBJECTS, "objects", (b"{",))


def decoded(text: str | bytes, *, allow_nan: bool = False) -> Any:
    """Return the value of a JSON text; raise `ValueError` if it is invalid, `TooManyValues` if it is too large."""
    if _may_exceed(_VALUES, text) and _exceeds(_VALUES, text):
        raise TooManyValues(_VALUES)
    return bounded(text, allow_nan=allow_nan)


def bound(text: str | bytes) -> None:
    """Raise `TooManyValues` if the JSON of a client is too large to be decoded."""
    if len(text) <= MOST_OBJECTS:
        return
    for limit in (_VALUES, _OBJECTS):
        if _may_exceed(limit, text) and _exceeds(limit, text):
            raise TooManyValues(limit)


def bounded(text: str | bytes, *, allow_nan: bool = False) -> Any:
    """Return the value of a JSON text that is known to be small enough; raise `ValueError` if it is invalid."""
    try:
        return from_json(text, allow_inf_nan=allow_nan)
    except ValueError as e:
        mended = _mended(text) if "hex escape" in str(e) else None
        if mended is None:
            raise
        return from_json(mended, allow_inf_nan=allow_nan)


def _may_exceed(limit: _Limit, text: str | bytes) -> bool:
    """Count also the marks in strings, which is quick; most texts have few of them."""
    if len(text) <= limit.most:
        return False
    counts = (text.count(mark.decode()) if isinstance(text, str) else text.count(mark) for mark in limit.marks)
    return sum(counts) > limit.most


def _exceeds(limit: _Limit, text: str | bytes) -> bool:
    """Count the marks outside of strings, in pieces between which other threads can run."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    found, in_string, escaped = 0, False, False
    for start in range(0, len(data), _CHUNK):
        chunk = data[start + escaped : start + _CHUNK].replace(b"\\\\", b"")
        escaped = chunk.endswith(b"\\")
        parts = chunk.replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[in_string::2])
        found += sum(map(outside.count, limit.marks))
        if found > limit.most:
            return True
        in_string ^= len(parts) % 2 == 0
    return False


def _mended(text: str | bytes) -> bytes | None:
    """Return a text without lone surrogates; None if it is too long to look for them."""
    if len(text) > _MOST_MENDED:
        return None
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    for escaped in _ESCAPED:
        data = escaped.sub(rb"\\ufffd", data)
    return data


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
