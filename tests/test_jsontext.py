"""Reading and writing JSON."""

from __future__ import annotations

import math
from types import MappingProxyType

import pytest

from charhost.jsontext import MOST_OBJECTS, MOST_VALUES, TooManyValues, bound, decoded, encoded, integer


@pytest.mark.parametrize("text", ['{"a": "b"}', b'{"a": "b"}'])
def test_json_is_read(text: str | bytes) -> None:
    """Text and bytes are read alike."""
    assert decoded(text) == {"a": "b"}


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"x\uD83Dy"])
def test_half_an_emoji_is_replaced_as_it_comes(half: str) -> None:
    """A lone surrogate becomes the replacement character, and other text is unchanged."""
    assert decoded(f'"{half}"').count("\ufffd") == 1


def test_a_whole_emoji_stays() -> None:
    """Two halves that belong together are one character."""
    assert decoded(r'"\ud83d\ude00"') == "😀"


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', "nonsense", b"\xff"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    """Invalid JSON raises an error."""
    with pytest.raises(ValueError, match="line 1 column"):
        decoded(text)


def test_nan_can_be_read() -> None:
    """NaN is read on request, since some servers write it."""
    assert math.isnan(decoded("[NaN]", allow_nan=True)[0])


def test_half_an_emoji_is_replaced_as_it_goes() -> None:
    """A lone surrogate is replaced when JSON is written, also in names and nested values."""
    assert decoded(encoded({"a\ud83d": ["b\ude00", ("c",)]})) == {"a\ufffd": ["b\ufffd", ["c"]]}


@pytest.mark.parametrize(("value", "expected"), [(2.0, 2), (2.5, 2.5), (math.inf, math.inf), ("2.0", "2.0")])
def test_a_float_without_a_fraction_is_an_integer(value: object, expected: object) -> None:
    """Only a float without a fraction becomes an int."""
    found = integer(value)
    assert (found, type(found)) == (expected, type(expected))


def test_nan_is_written_as_null() -> None:
    """JSON has no word for it."""
    assert encoded([math.nan, math.inf]) == b"[null,null]"


def test_frozen_data_is_written() -> None:
    """A mapping that is no dict is written as an object."""
    assert encoded(MappingProxyType({"a": 1})) == b'{"a":1}'


@pytest.mark.parametrize("value", ["[],", "{},", '{"a":1},', '"",', "1,", '[""],'])
@pytest.mark.parametrize("kind", [str, bytes])
def test_many_values_are_refused(value: str, kind: type) -> None:
    """A text with more values than the limit is refused before they are made, whatever they are."""
    text = "[" + value * (MOST_VALUES + 1) + "0]"
    given = text if kind is str else text.encode()
    with pytest.raises(TooManyValues, match="expected at most 200,000 values, found more"):
        decoded(given)
    with pytest.raises(TooManyValues):
        bound(given)


def test_many_objects_of_a_client_are_refused() -> None:
    """A client may send fewer objects than other values, not counting those in strings; a model may send more."""
    objects = "[" + "{}," * MOST_OBJECTS + "0]"
    bound(objects)
    bound('["' + "{" * (MOST_OBJECTS + 1) + '"]')
    more = "[{}," + objects[1:]
    with pytest.raises(TooManyValues, match="expected at most 50,000 objects, found more"):
        bound(more)
    assert len(decoded(more)) == MOST_OBJECTS + 2


def test_as_many_values_as_the_limit() -> None:
    """A text with just as many values is decoded."""
    text = "[" + "1," * (MOST_VALUES - 1) + "1]"
    bound(text)
    assert len(decoded(text)) == MOST_VALUES


@pytest.mark.parametrize("shift", range(6))
@pytest.mark.parametrize("unit", [",[{", '\\",', "\\\\,", '\\\\\\",', "[é,", '\\u0022,\\"'])
def test_marks_in_strings_do_not_count(unit: str, shift: int) -> None:
    """A table in a message has any number of commas, with quotation marks and backslashes, wherever it is cut."""
    text = '[1,"' + "x" * shift + unit * 250_000 + '",2]'
    bound(text.encode())
    assert len(decoded(text)) == 3


@pytest.mark.parametrize("shift", range(6))
@pytest.mark.parametrize("unit", ['"\\"",', '"\\\\",', '"\\\\\\"",', '"",', '"\\u0022",'])
def test_marks_behind_strings_count(unit: str, shift: int) -> None:
    """A quotation mark in a string does not end it, and one behind two backslashes does, wherever it is cut."""
    text = "[" + " " * shift + unit * (MOST_VALUES + 1) + "0]"
    with pytest.raises(TooManyValues):
        bound(text)


def test_what_is_no_data_is_refused() -> None:
    """An object of some class has no spelling."""
    with pytest.raises(Exception, match="JSON"):
        encoded(object())
