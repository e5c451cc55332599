"""Chunks that are read without being parsed are the same pieces as those that are parsed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from charhost import jsontext
from charhost.llm.model import Delta
from charhost.llm.openai import chunk_parser
from charhost.llm.openai.chunk_parser import ChunkParser
from charhost.llm.openai.chunk_template import ChunkTemplate


def chunk(content: str, **more: Any) -> bytes:
    """Return a chunk as many servers send it."""
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": None}
    return to_json({"id": "1", "object": "chat.completion.chunk", "choices": [choice], **more})


def fed(*chunks: bytes) -> list[Delta | None]:
    """Return the pieces of these chunks."""
    parser = ChunkParser()
    return [parser.feed(data) for data in chunks]


def count_parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the chunks that are parsed from now on."""
    parsed: list[bytes] = []

    def decoded(data: bytes, *, allow_nan: bool) -> Any:
        parsed.append(data)
        return decode(data, allow_nan=allow_nan)

    decode = jsontext.decoded
    monkeypatch.setattr(chunk_parser, "decoded", decoded)
    return parsed


def test_words_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand chunks that differ in their text only one is parsed, and those whose text needs it."""
    parsed = count_parsed(monkeypatch)
    texts = ["Well", ", hello", 'a "quote"', " wörd", "\n", *(f" {n}" for n in range(1_000))]
    assert fed(*map(chunk, texts)) == list(map(Delta, texts))
    assert len(parsed) == 3


def test_chunks_with_more_than_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another field is never taken for the text, and never left out."""
    calling = to_json(
        {"choices": [{"delta": {"content": "x", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}}]}
    )
    _, _, called, last = fed(
        chunk("a"), chunk("b"), calling, chunk("c").replace(b'"finish_reason":null', b'"finish_reason":"stop"')
    )
    assert called is not None
    assert last is not None
    assert (called.text, [call.name for call in called.calls]) == ("x", ["f"])
    assert (last.text, last.finish) == ("c", "tool_calls")


@pytest.mark.parametrize(
    "data",
    [
        b'{"content":"a","choices":[{"delta":{"content" : "a"}}]}',
        b'{"choices":[{"delta":{"content":[{"text":"a"}]}}],"content":"a"}',
        b'{"choices":[{"delta":{"content":"a"},"message":{"content":"a"}}]}',
    ],
)
def test_text_that_is_not_where_it_seems(data: bytes) -> None:
    """A field of the same name elsewhere in the chunk makes no template."""
    template = ChunkTemplate()
    template.learn(data)
    assert template.text(data) is None


def test_chunks_that_always_differ() -> None:
    """A server that changes another field with each chunk is not learned from for ever."""
    template = ChunkTemplate()
    for number in range(9):
        template.learn(chunk("a", number=number))
    assert template.text(chunk("b", number=7)) == "b"
    template = ChunkTemplate()
    for number in range(10):
        template.learn(chunk("a", number=number))
    assert template.text(chunk("b", number=9)) is None


_TEXTS = st.text(max_size=4) | st.sampled_from(['"', "\\", '\\"', "\x7f", "\u2028", "😀", " word"])
_MORE = st.sampled_from([{}, {"created": 1}, {"created": 2}, {"usage": {"prompt_tokens": 1}}])


@given(st.lists(st.tuples(_TEXTS, _MORE, st.sampled_from([b"", b"\t", b"\xff", b'"'])), max_size=8))
def test_no_chunk_is_read_differently(sent: list[tuple[str, dict[str, Any], bytes]]) -> None:
    """Whatever the texts are, and what is wrong with them, a parser that learns finds what one does that does not."""
    learning, parsing = ChunkParser(), ChunkParser()
    parsing._template.forget()
    for text, more, wrong in sent:
        data = chunk(text, **more).replace(b'"},"logprobs"', wrong + b'"},"logprobs"')
        assert outcome(learning, data) == outcome(parsing, data)


def outcome(parser: ChunkParser, data: bytes) -> object:
    """Return the piece of a chunk, or the text of the error."""
    try:
        return parser.feed(data)
    except Exception as e:
        return str(e)
