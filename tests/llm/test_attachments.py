"""What a server attached to a message is joined from the pieces of a stream."""

from __future__ import annotations

import time
from typing import Any

import pytest

from charhost.llm.attachments import joined


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([{"reasoning_content": "I "}, {"reasoning_content": "see."}], {"reasoning_content": "I see."}),
        ([{"signature": "a"}, {"signature": "b"}], {"signature": "b"}),
        (
            [{"extra_content": {"google": {"a": 1}}}, {"extra_content": {"google": {"b": 2}}}],
            {"extra_content": {"google": {"a": 1, "b": 2}}},
        ),
        (
            [
                {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "I "}]},
                {"reasoning_details": [{"index": 1, "type": "reasoning.encrypted", "data": "x"}]},
                {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "see.", "signature": "s"}]},
            ],
            {
                "reasoning_details": [
                    {"index": 0, "type": "reasoning.text", "text": "I see.", "signature": "s"},
                    {"index": 1, "type": "reasoning.encrypted", "data": "x"},
                ]
            },
        ),
        (
            [
                {"thinking_blocks": [{"type": "thinking", "thinking": "I "}]},
                {"thinking_blocks": [{"type": "thinking", "thinking": "see.", "signature": "s"}]},
                {"thinking_blocks": [{"type": "thinking", "thinking": "More."}]},
                {"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]},
            ],
            {
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "I see.", "signature": "s"},
                    {"type": "thinking", "thinking": "More."},
                    {"type": "redacted_thinking", "data": "x"},
                ]
            },
        ),
        (
            [{"details": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            {"details": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ),
    ],
    ids=["text", "signature", "objects", "blocks with an index", "blocks without", "blocks of one piece"],
)
def test_pieces_are_joined(pieces: list[dict[str, Any]], whole: dict[str, Any]) -> None:
    """Texts are joined, blocks by their index or their order, and of other values the last counts."""
    assert joined(pieces) == whole


def test_many_blocks_are_joined_without_a_search() -> None:
    """As many blocks as a response has room for are joined in one pass; a search for each would take hours."""
    pieces = [{"blocks": [{"index": number % 20_000, "text": "a"}]} for number in range(40_000)]
    started = time.monotonic()
    assert joined(pieces)["blocks"] == [{"index": number, "text": "aa"} for number in range(20_000)]
    assert time.monotonic() - started < 60
