"""Random JSON, and random changes of good requests and responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from pydantic_core import to_json

# Bytes of which any number may follow each other.
_UNITS = (b"[", b"{", b"[],", b"1,", b'"",', b'{"a":', b'"', b'\\"', b"\\", b"\\ud83d", b"1", b"e9", b"-", b"\xff")
_WORDS = ("type", "role", "user", "text", "name", "id", "model", "index", "error", "message", "\0", "__class__")

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(_WORDS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=5), inner),
    max_leaves=10,
)


@st.composite
def changed(draw: st.DrawFn, templates: Sequence[Any]) -> Any:
    """Return one of the templates with some values replaced, left out, repeated or nested."""
    value = [deepcopy(draw(st.sampled_from(templates)))]
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(list(_places(value))))
        match draw(st.integers(0, 3)):
            case 0:
                container[key] = draw(values)
            case 1 if isinstance(container, dict):
                del container[key]
            case 2:
                container[key] = [container[key]] * draw(st.integers(0, 40))
            case _:
                for _ in range(draw(st.integers(1, 250))):
                    container[key] = {draw(st.sampled_from(_WORDS)): container[key]}
    return value[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield value, key
        yield from _places(item)


@st.composite
def repeated(draw: st.DrawFn) -> bytes:
    """Return a few bytes many times, perhaps within others."""
    unit, times = draw(st.sampled_from(_UNITS)), draw(st.sampled_from((10, 1_000, 50_000, 250_000)))
    return draw(st.sampled_from((b"", b"[", b'{"a":', b'"'))) + unit * times + draw(st.sampled_from((b"", b"1]", b'"')))


def texts(templates: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """JSON texts near the templates, some of them broken, and others."""
    good = changed(templates).map(_spelled)
    broken = st.builds(_with, good, st.integers(0, 500), st.binary(max_size=5))
    return st.one_of(good, good, broken, values.map(_spelled), st.binary(max_size=200), repeated())


def _spelled(value: Any) -> bytes:
    try:
        return to_json(value)
    except ValueError:  # nested too deeply to be written at once
        return b"[" * 300 + b"]" * 300


def _with(text: bytes, place: int, more: bytes) -> bytes:
    return text[:place] + more + text[place:]


@st.composite
def damaged(draw: st.DrawFn, templates: Sequence[bytes]) -> bytes:
    """Return one of the templates with some bytes replaced, repeated or left out."""
    data = bytearray(draw(st.sampled_from(templates)))
    for _ in range(draw(st.integers(0, 4))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        data[start : start + length] = draw(st.binary(max_size=40)) * draw(st.sampled_from((1, 1, 1, 200)))
    return bytes(data)
