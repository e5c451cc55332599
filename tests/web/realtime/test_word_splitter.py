"""WordSplitter: whole words out of pieces."""

from __future__ import annotations

import pytest

from charhost.web.realtime.word_splitter import WordSplitter


def split_words(*pieces: str) -> list[str]:
    """Return all words of a response in these pieces."""
    words = WordSplitter()
    return [word for piece in pieces for word in words.take(piece)] + list(words.end())


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Hel", "lo", " wor", "ld, you"], ["Hello", " world,", " you"]),
        (["One two three"], ["One", " two", " three"]),
        (["One ", "two"], ["One", " two"]),
        (["你好，", "世界。", "再见"], ["你好，", "世界。", "再见"]),
        (["「好。", "」他说"], ["「好。」", "他说"]),
        (["a\n", "\n", "b"], ["a", "\n\nb"]),
        (["   "], []),
        ([], []),
    ],
)
def test_words_are_whole(pieces: list[str], expected: list[str]) -> None:
    """A word is complete when the next one begins, and has the space before it."""
    assert split_words(*pieces) == expected


def test_a_word_may_be_as_long_as_an_answer() -> None:
    """Thirty thousand pieces without a space are one word, split in short time."""
    assert split_words(*["ab"] * 30_000) == ["ab" * 30_000]


def test_pieces_do_not_matter() -> None:
    """Cut anywhere, a text has the same words."""
    text = "Well, 你好，世界。 (really?) yes\nno"
    assert split_words(*text) == split_words(text) == split_words(text[:9], text[9:])


def test_what_follows_the_end_stands_apart() -> None:
    """The first word of the next message has a space in front of it, also where the model gave it none."""
    words = WordSplitter()
    assert [*words.take("One"), *words.end(), *words.take("two"), *words.end()] == ["One", " two"]
