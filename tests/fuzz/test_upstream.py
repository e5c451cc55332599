"""The parser of models' responses and errors, with random ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from charhost.conversation.chat_messages import as_messages
from charhost.conversation.history import History
from charhost.conversation.response_builder import ResponseBuilder
from charhost.jsontext import encoded
from charhost.llm.model import Delta, ModelError
from charhost.llm.openai.chunk_parser import ChunkParser, UpstreamFault
from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import of_fault, of_response
from charhost.llm.openai.habits import recognised
from charhost.llm.openai.sse import EventData
from tests.fuzz.campaign import SECONDS, check_cost, run
from tests.fuzz.inputs import texts

ENDPOINT = Endpoint.of("http://10.0.0.7:8080/v1", "sk-0123456789abcdef")
CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "look", "arguments": '{"a":'}}
MORE = {"index": 0, "function": {"arguments": "1}"}}
OTHER = {"index": 1, "id": "2", "function": {"name": "own", "arguments": {"a": 1}}}
THINKING = {"type": "reasoning.text", "index": 0, "text": "Hm.", "signature": "s"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
DELTAS: list[dict[str, Any]] = [
    {"role": "assistant", "content": "Hi <think>there</think>"},
    {"content": [{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": [{"text": "Hm."}]}]},
    {"tool_calls": [CALL, OTHER]},
    {"tool_calls": [MORE, MORE]},
    {"reasoning_content": "Hm.", "reasoning_details": [THINKING]},
]
CHUNKS: list[dict[str, Any]] = [
    *({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in DELTAS),
    {"choices": [{"delta": {}, "finish_reason": "stop", "logprobs": {"content": [{"token": "a"}]}}], "usage": USAGE},
    {"choices": [{"message": DELTAS[2] | {"content": "Hi"}, "finish_reason": "tool_calls"}]},
    {"error": {"message": "no", "type": "invalid_request_error", "code": "429"}},
]
MESSAGE = "sk-0123456789abcdef at http://10.0.0.7:8080/v1"
EXTRA = {"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}
ERRORS = [
    {"error": {"message": MESSAGE, "type": "a", "code": "b", "param": "tools"}},
    {"detail": [EXTRA]},
    {"message": "Unsupported parameter: 'max_tokens'"},
]


# Of an error no more is read.
MOST_ERROR = 1 << 20


def response(data: bytes) -> None:
    """Read a whole response, which begins with the size of its pieces, and send what it became to the model again."""
    parser, builder = ChunkParser(), ResponseBuilder(History(), lambda name: name == "own", "there")
    text = ""
    try:
        for delta in _deltas(parser, data):
            list(builder.add(delta))
    except ModelError as e:
        text = str(e)
    except UpstreamFault as e:
        text = f"{of_fault(e.fault, ENDPOINT)} {e}"
    assert len(text) < 10_000
    list(builder.close("incomplete"))
    encoded(as_messages(builder.items, "there"))


def _deltas(parser: ChunkParser, data: bytes) -> Iterator[Delta]:
    source, size = EventData(), max(1, data[0]) * 1_000
    pieces = (data[start : start + size] for start in range(1, len(data), size))
    for event in (event for piece in pieces for event in source.feed(piece)):
        if (delta := parser.feed(event)) is not None:
            yield delta
    for event in source.end():
        if (delta := parser.feed(event)) is not None:
            yield delta
    yield from parser.end()


def refusal(data: bytes) -> None:
    """Read the body of an error, and look for habits in it."""
    error = of_response(
        400 + data[0] % 128, {"Retry-After": data[:20].decode("latin-1")}, data[1:MOST_ERROR], ENDPOINT, "m"
    )
    assert len(str(error)) < 1_000
    assert "0123456789abcdef" not in str(error)
    recognised(getattr(error, "complaint", ""), {"model": "m", "messages": [], "stop": ["a"], "max_tokens": 5})


def stream(chunks: list[bytes]) -> bytes:
    return b"".join(b"data: " + chunk.replace(b"\n", b" ") + b"\n\n" for chunk in chunks)


sizes = st.binary(min_size=1, max_size=1)
responses = st.builds(bytes.__add__, sizes, st.lists(texts(CHUNKS), max_size=6).map(stream) | st.binary(max_size=300))
refusals = st.builds(bytes.__add__, sizes, texts(ERRORS))


@pytest.mark.slow
def test_random_responses() -> None:
    """Each is read or is the model's error, without a long gap, and nothing is left of it."""
    run(responses, response, SECONDS / 2)


@pytest.mark.slow
def test_random_refusals() -> None:
    """Each becomes a short error without the key."""
    run(refusals, refusal, SECONDS / 2)


def test_good_responses() -> None:
    """The chunks and errors that the random ones are near to are read."""
    check_cost(response, b"\x01" + stream([encoded(chunk) for chunk in CHUNKS]))
    for error in ERRORS:
        check_cost(refusal, b"\x00" + encoded(error))
