"""Estimates of how many tokens texts have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charhost.llm.token_estimate import beginning, letters, tokens


@pytest.mark.parametrize(
    ("text", "estimate"),
    [
        ("", 0),
        ("Hello, world", 3),
        ("Grüße aus Köln", 4),
        ("Привет, мир!", 6),
        ("你好，世界", 5),
        ("こんにちは", 5),
        ("안녕하세요", 5),
        ("Hello 世界", 4),
        ("🙂🙂", 2),
    ],
)
def test_a_script_has_its_own_length_of_a_token(text: str, estimate: int) -> None:
    """Four Latin letters are a token, two of Cyrillic, and each character of Chinese, Japanese and Korean."""
    assert tokens(letters(text)) == estimate


@given(st.text(), st.integers(-3, 50))
def test_a_beginning_is_as_long_as_allowed(text: str, most: int) -> None:
    """It has at most so many letters, and with the next character it would have more."""
    found = beginning(text, most)
    assert text.startswith(found)
    assert letters(found) <= max(0, most)
    if found != text:
        assert letters(text[: len(found) + 1]) > most
