"""The chunks of a streamed chat completion."""

from __future__ import annotations

from charhost.llm.model import CallDelta, Delta
from tests.conftest import Client
from tests.scripted import call, end
from tests.web.completions.helpers import DICE, STOP, Play, chunks


async def test_a_stream_has_the_shape_of_openai(client: Client, play: Play) -> None:
    """A stream has the role, the text and the reason, one id, and a choice in every chunk."""
    play(["Hel", "lo.", STOP])
    found = await chunks(client)
    assert len({(chunk["id"], chunk["created"]) for chunk in found}) == 1
    for chunk in found:
        assert (chunk["object"], chunk["model"], "usage" in chunk) == ("chat.completion.chunk", "Ada", False)
    assert [chunk["choices"] for chunk in found] == [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        for delta, reason in [
            ({"role": "assistant", "content": ""}, None),
            ({"content": "Hel"}, None),
            ({"content": "lo."}, None),
            ({}, "stop"),
        ]
    ]


async def test_a_stream_has_its_usage_on_request(client: Client, play: Play) -> None:
    """With `include_usage` one more chunk has the usage and no choice; all others have null."""
    play(["Hello.", STOP])
    *others, last = await chunks(client, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in others] == [None] * 3
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 15)


async def test_calls_are_streamed_piece_by_piece(client: Client, play: Play) -> None:
    """Id and name are sent once for each index, the arguments as they arrive."""
    more = Delta(calls=(CallDelta(0, None, None, "6}"),))
    play(["Well.", call("dice", '{"sides":', "call_0"), more, call("dice", index=1), end("tool_calls")])
    found = await chunks(client, tools=[DICE])
    pieces = [c for chunk in found for c in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert pieces == [
        {"index": 0, "id": "call_0", "type": "function", "function": {"name": "dice", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"sides":'}},
        {"index": 0, "function": {"arguments": "6}"}},
        {"index": 1, "id": "call_1", "type": "function", "function": {"name": "dice", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"
