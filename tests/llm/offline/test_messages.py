"""The messages of a request, as the stand-in reads them."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.llm.offline.languages import english
from charhost.llm.offline.messages import end_of, sentences, text_of, user_name


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hi", "Hi"),
        (None, ""),
        ([{"type": "text", "text": "a"}, {"type": "image_url"}, "x", {"text": 5}, {"text": "b"}], "a b"),
    ],
)
def test_text_of_a_content(content: Any, text: str) -> None:
    """The texts of all parts are joined; what is no text is left out."""
    assert text_of(content) == text


def test_only_the_end_is_read() -> None:
    """The time of a reply does not grow with the length of a message."""
    assert end_of("x" * 5_000 + " End.") == "x" * 1_995 + " End."


def test_half_a_surrogate_pair_is_replaced() -> None:
    """A text that cannot be encoded becomes one that can."""
    assert end_of("a\ud83d") == "a\ufffd"


def test_greeting_is_a_sentence() -> None:
    """A greeting stands by itself, and small words before a sentence are left out."""
    assert list(sentences("Hello, what is your name? I am fine.")) == ["Hello", "what is your name?", "I am fine"]


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        (["My name is bob."], "Bob"),
        (["My name is Bob.", "Call me Zoe."], "Zoe"),
        (["I am fine."], ""),
        (["Hi"], ""),
    ],
)
def test_name_of_the_user(messages: list[str], name: str) -> None:
    """The last name that the user gave counts; a state of mind is no name."""
    assert user_name(messages, english()) == name
