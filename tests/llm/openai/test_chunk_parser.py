"""How the chunks of different servers become the same pieces."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from pydantic_core import to_json

from charhost.llm.model import CallDelta, Delta, ModelError, Usage
from charhost.llm.openai.chunk_parser import ChunkParser, UpstreamFault
from charhost.llm.openai.tool_calls import MOST_CALLS


def chunk(finish: Any = None, **delta: Any) -> dict[str, Any]:
    """A chunk with that delta."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int | None = 0, call_id: str | None = None, name: str | None = None, arguments: Any = None) -> Any:
    """Return a chunk with a part of a tool call, without the fields that are None."""
    fields = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return chunk(tool_calls=[{key: value for key, value in fields.items() if value is not None}])


def read(*chunks: Any, end: bool = True) -> list[Delta]:
    """Return the deltas of these chunks; with *end* a `[DONE]` follows them."""
    completion = ChunkParser()
    data = [c if isinstance(c, bytes) else to_json(c) for c in chunks] + [b" [DONE]\r"] * end
    return [delta for d in data if (delta := completion.feed(d))] + completion.end()


def calls(*chunks: Any) -> list[CallDelta]:
    """The pieces of tool calls in these chunks."""
    return [piece for delta in read(*chunks) for piece in delta.calls]


def test_text() -> None:
    """Text comes piece by piece; null, nothing and chunks without choices are not pieces."""
    chunks: tuple[Any, ...] = (
        chunk(role="assistant", content=None),
        chunk(content="Hel"),
        {"choices": [], "usage": None},
        chunk(),
    )
    assert read(*chunks, chunk(content="lo"), chunk("stop", content="")) == [
        Delta("Hel"),
        Delta("lo"),
        Delta(finish="stop"),
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "<think>"])
def test_reasoning_is_not_spoken(field: str) -> None:
    """Reasoning, which comes in fields of its own, is no text; it is attached to the message."""
    thought, spoken = read(chunk(**{field: "Hm."}), chunk("stop", content="Yes."))
    assert (thought.text, thought.attached) == ("", {field: "Hm."})
    assert thought.reasoning == ("Hm." if field.startswith("reasoning") else "")
    assert spoken == Delta("Yes.", finish="stop")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("eos", "stop"), ("function_call", "tool_calls"), ("max_tokens", "length"), ("SAFETY", "content_filter")],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    """The finish reasons of other servers become one of the four."""
    assert [delta.finish for delta in read(chunk(reason, content="x"))] == [finish]


def test_nothing_after_the_finish() -> None:
    """A second finish, and text behind the first, are not passed on."""
    assert read(chunk("stop", content="x"), chunk("stop", content="y")) == [Delta("x", finish="stop")]


def test_nothing_after_done() -> None:
    """Data after `[DONE]` is ignored."""
    assert read(chunk("stop", content="x"), b"[DONE]", b"garbage") == [Delta("x", finish="stop")]


def test_usage_cannot_be_less_than_nothing() -> None:
    """A wrong usage of a server does not fail the response."""
    chunks = chunk("stop", content="x"), {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": -5}}
    assert read(*chunks)[-1] == Delta(usage=Usage(5, 0))


def test_usage_comes_last() -> None:
    """Usage comes once, at the end, also from servers that send it with every chunk."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
    counting = chunk(content="x") | {"usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    assert read(counting, chunk("stop"), {"choices": [], "usage": usage})[-1] == Delta(usage=Usage(5, 2, 3))


def test_call_repeats() -> None:
    """Id and name come with the first piece of a call only, also if the server repeats them."""
    pieces = calls(call(0, "a", "look", ""), call(0, "a", "look", '{"x"'), call(0, "a", None, ":1}"))
    assert pieces == [CallDelta(0, "a", "look", ""), CallDelta(0, None, None, '{"x"'), CallDelta(0, None, None, ":1}")]


@pytest.mark.parametrize(
    "index",
    [
        pytest.param((None, None), id="no index"),
        pytest.param((0, 0), id="one index"),
        pytest.param((1, 2), id="from 1"),
    ],
)
def test_calls_are_separate(index: tuple[int | None, int | None]) -> None:
    """Two calls stay two, with or without a proper index."""
    first, second = index
    pieces = calls(call(first, "a", "look", "{}"), call(second, "b", "go", "{"), call(second, None, None, "}"))
    assert pieces == [CallDelta(0, "a", "look", "{}"), CallDelta(1, "b", "go", "{"), CallDelta(1, None, None, "}")]


def test_call_without_id() -> None:
    """An id that is missing is made up, and arguments may be an object."""
    (piece,) = calls(call(None, None, "look", {"x": 1}))
    assert piece.id is not None
    assert piece.id.startswith("call_")
    assert piece.arguments == '{"x":1}'


def test_changing_ids() -> None:
    """A server that gives every piece of a call another id still makes one call."""
    assert len({piece.index for piece in calls(call(0, "a", "look", "{"), call(0, "b", None, "}"))}) == 1


@pytest.mark.parametrize("index", ["its own", "none"])
def test_too_many_calls(index: str) -> None:
    """A response may have 128 calls, in one chunk or in several, and no more."""
    many = [call(number if index == "its own" else None, str(number), "look", "{}") for number in range(MOST_CALLS)]
    assert len({piece.index for piece in calls(*many)}) == MOST_CALLS
    with pytest.raises(ModelError, match="called more than 128 tools") as caught:
        calls(*many, call(MOST_CALLS, "more", "look", "{}"))
    assert caught.value.error_type == "malformed"


def test_answer_with_too_many_values() -> None:
    """A chunk with more values than a text may have is invalid."""
    with pytest.raises(ModelError, match="invalid chunk"):
        read(b'{"choices":[{"delta":{"content":"Hi"}}],"x":[' + b"[]," * 200_001 + b"0]}")


def test_answer_that_is_nested_too_deeply() -> None:
    """A chunk that would exhaust the stack is invalid, and one that is nested less is read."""
    with pytest.raises(ModelError, match="invalid chunk"):
        read(b'{"choices":[{"delta":{"x":' + b"[" * 5_000)
    deep = b'{"choices":[{"delta":{"reasoning_details":' + b'[{"text":' * 90 + b'"a"' + b"}]" * 90 + b"}}]}"
    assert read(deep)[0].reasoning == "a"


def test_fault_is_cut_before_it_is_kept() -> None:
    """The log gets the beginning of a long error."""
    with pytest.raises(UpstreamFault) as caught:
        read({"error": {"message": "a" * 1_000_000}})
    assert len(str(caught.value)) == 4_000


def test_stop_after_calls() -> None:
    """Servers that write `stop` behind tool calls, or nothing, mean `tool_calls`."""
    assert read(call(0, "a", "look", "{}"), chunk("stop"))[-1].finish == "tool_calls"
    assert read(call(0, "a", "look", "{}"))[-1].finish == "tool_calls"


def test_done_without_finish() -> None:
    """`[DONE]` counts as a finish, if there was content."""
    assert read(chunk(content="x")) == [Delta("x"), Delta(finish="stop")]


@pytest.mark.parametrize("chunks", [(chunk(content="x"), False), (chunk(role="assistant"), True), (b"", False)])
def test_truncated(chunks: tuple[Any, bool]) -> None:
    """A response without an end, and an end without a response, are failures."""
    with pytest.raises(ModelError) as caught:
        read({} if chunks[0] == b"" else chunks[0], end=chunks[1])
    assert caught.value.error_type == "truncated"


def test_end_without_done() -> None:
    """After a finish nothing more is needed."""
    assert read(chunk("stop", content="x"), end=False) == [Delta("x", finish="stop")]


def test_whole_completion() -> None:
    """A completion that is not streamed is read as one piece."""
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    assert read(whole) == [Delta("Hi", finish="stop"), Delta(usage=Usage(1))]


def test_half_an_emoji() -> None:
    """Half of an emoji that a server has cut in two is replaced, and a whole one is kept."""
    data = rb'{"choices":[{"delta":{"content":"\ud83d\ude00 \ud83d"},"finish_reason":"stop"}]}'
    assert read(data)[0].text == "\U0001f600 \ufffd"


@pytest.mark.parametrize(
    "data", [b"{", b"[1]", b'"x"', b'{"choices": 1}', b'{"choices": ["x"]}', b'{"usage": {"prompt_tokens": "x"}}']
)
def test_malformed(data: bytes) -> None:
    """Anything that is no chunk is an error of the kind malformed."""
    with pytest.raises(ModelError) as caught:
        read(data)
    assert caught.value.error_type == "malformed"


def test_error_in_the_place_of_a_chunk() -> None:
    """An `error` is handed on as the server wrote it."""
    with pytest.raises(UpstreamFault) as caught:
        read({"error": {"message": "out of memory"}})
    assert caught.value.fault == {"message": "out of memory"}


def test_memory_of_a_long_chunk() -> None:
    """It is copied once, as its text: it is neither taken for an end nor for a template of others."""
    data = to_json(chunk(content="x" * (size := 4 << 20))) + b"\r"
    parser = ChunkParser()
    tracemalloc.start()
    try:
        delta = parser.feed(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert delta is not None
    assert len(delta.text) == size
    assert peak < 1.5 * size
