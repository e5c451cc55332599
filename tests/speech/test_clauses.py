"""The cutting of a response into clauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charhost.speech.clauses import ClauseCutter, speakable


def cut(*pieces: str) -> list[str]:
    """Return the texts of the clauses of a response."""
    cutter = ClauseCutter()
    found = [clause.text for piece in pieces for clause in cutter.take(piece)]
    return found + [clause.text for clause in cutter.end()]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello.", ["Hello."]),
        ("Well, I think so. Do you?", ["Well, I think so. ", "Do you?"]),
        ("Of course I do, my friend. It is late.", ["Of course I do, ", "my friend. It is late."]),
        ("It costs 3.14 euros at Mr. Smith's. Is that", ["It costs 3.14 euros at Mr. Smith's. ", "Is that"]),
        ("one two three four five six seven eight nine ten", ["one two three four five six seven eight ", "nine ten"]),
        ("今日はとてもいい天気ですね。散歩に行きましょう。", ["今日はとてもいい天気ですね。", "散歩に行きましょう。"]),
        ("a" * 600, ["a" * 250, "a" * 250, "a" * 100]),
        ("", []),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    """The first clause is short, later ones are sentences; numbers and abbreviations end none."""
    assert cut(text) == clauses
    assert cut(*text) == clauses


@given(st.lists(st.text(alphabet="ab .,!?\n。1", max_size=40)))
def test_nothing_is_lost(pieces: list[str]) -> None:
    """The clauses together are the whole text, and none is longer than the limit."""
    found = cut(*pieces)
    assert "".join(found) == "".join(pieces)
    assert all(0 < len(text) <= 250 for text in found)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("*Oh*, `x` is **fine** 😀!", "Oh, x is fine !"),
        ("See https://example.com/a/b?c=1 or [this](http://x.org/y).", "See example.com or this."),
        ("“Yes,” she said’s", '"Yes," she said\'s'),
        ("🎉 …", ""),
    ],
)
def test_speakable(text: str, spoken: str) -> None:
    """Markup, emoji and the rest of addresses are not spoken."""
    assert speakable(text) == spoken
