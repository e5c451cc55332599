"""How `stop` is applied for servers that do not know it."""

from __future__ import annotations

import pytest

from charhost.llm.model import Delta
from charhost.llm.openai.stop_sequences import StopSequences


def passed_on(stop: list[str], *pieces: str) -> str:
    """The text that is passed on of a response in these pieces."""
    sequences = StopSequences(stop)
    text = ""
    for delta in (*map(Delta, pieces), Delta(finish="stop")):
        text += sequences.cut(delta).text
        if sequences.found:
            break
    return text


@pytest.mark.parametrize("pieces", [["Hello END you"], ["Hello E", "N", "D you"], list("Hello END you")])
def test_text_ends_before_a_string(pieces: list[str]) -> None:
    """The text ends where a string begins, wherever the pieces are split."""
    assert passed_on(["END"], *pieces) == "Hello "


def test_first_string_counts() -> None:
    """Of two strings the one that comes first ends the text."""
    assert passed_on(["END", "you"], "Hello you and END") == "Hello "


def test_beginnings_of_strings_are_passed_on() -> None:
    """Text that only began like a string is passed on."""
    assert passed_on(["END"], "Hello E", "N you E", "N") == "Hello EN you EN"


def test_finish() -> None:
    """The piece that ends the text has the finish `stop`."""
    assert StopSequences(["x"]).cut(Delta("abxc")) == Delta("ab", finish="stop")
