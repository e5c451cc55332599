"""Thinking in tags at the beginning of a text is split from the reply."""

from __future__ import annotations

import pytest

from charhost.llm.openai.think_tags import ThinkTags


def read(*pieces: str) -> tuple[str, str]:
    """Return the thinking and the text of these pieces."""
    tags = ThinkTags()
    found = [("", piece) if tags.done else tags.split(piece) for piece in pieces] + [tags.rest()]
    return "".join(thought for thought, _ in found), "".join(text for _, text in found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello.", ("", "Hello.")),
        (" \n Hello. <think>x</think>", ("", " \n Hello. <think>x</think>")),
        ("<think>Hm.</think>\n\nYes.", ("Hm.", "Yes.")),
        ("\n<thought>Hm, </think> or</thought>Yes.", ("Hm, </think> or", "Yes.")),
        ("<think></think>Yes.", ("", "Yes.")),
        ("<think>Hm.</think> <think>", ("Hm.", "<think>")),
        ("<think>Hm. </thi", ("Hm. </thi", "")),
        ("<thinner", ("", "<thinner")),
        ("<th", ("", "<th")),
        ("  ", ("", "  ")),
        ("", ("", "")),
    ],
)
def test_thinking_is_split_from_the_reply(text: str, parts: tuple[str, str]) -> None:
    """Wherever the text is cut into two or into letters, thinking and reply are the same."""
    assert read(text) == parts
    assert read(*text) == parts
    for cut in range(len(text)):
        assert read(text[:cut], text[cut:]) == parts


def test_space_is_not_held_forever() -> None:
    """A hundred spaces are a text."""
    tags = ThinkTags()
    assert tags.split(" " * 100) == ("", " " * 100)
    assert tags.done
