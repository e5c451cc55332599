"""Servers that demand back what they attached get it, through each door, over real sockets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.strict_upstream import DEMANDS, strict_upstream
from tests.web.thinking_upstream import CHAT, HI, LOOK, LOOKER, served, talked


@pytest.mark.parametrize("mode", DEMANDS)
async def test_rounds_turns_and_a_resume(mode: str, directory: Path, tmp_path: Path) -> None:
    """The next round, the next turn, and one after a restart of the server send back what was attached."""
    (directory / "ada.py").write_text(LOOKER)
    async with strict_upstream(mode) as upstream:
        session = None
        for _ in range(2):
            async with served(directory, upstream, state=tmp_path / "state.db") as client:
                session = await talked(client, session)
        assert not any(upstream.refused)
    assert len([message for message in upstream.requests[-1]["messages"] if message.get("tool_calls")]) == 4


async def test_another_server_gets_none_of_it(directory: Path, tmp_path: Path) -> None:
    """A conversation that goes on with another server does not send what the first one attached."""
    (directory / "ada.py").write_text(LOOKER)
    async with strict_upstream("reasoning_content", "extra_content") as first, strict_upstream() as second:
        async with served(directory, first, state=tmp_path / "state.db") as client:
            session = await talked(client, None)
        async with served(directory, second, state=tmp_path / "state.db") as client:
            await talked(client, session)
    sent = json.dumps(second.requests)
    assert "Hello from the model." in sent
    assert "I should look." not in sent
    assert "thought_signature" not in sent


@pytest.mark.parametrize("mode", DEMANDS)
async def test_a_chain_of_responses(mode: str, directory: Path) -> None:
    """A response goes on from the stored one before it with what was attached."""
    (directory / "ada.py").write_text(LOOKER)
    async with strict_upstream(mode) as upstream, served(directory, upstream) as client:
        first = await (await client.post("/v1/responses", json={"model": "Ada", "input": "Hi"})).json()
        more = {"model": "Ada", "input": "And?", "previous_response_id": first["id"]}
        assert (await (await client.post("/v1/responses", json=more)).json())["status"] == "completed"
        assert not any(upstream.refused)


@pytest.mark.parametrize("mode", [mode for mode in DEMANDS if mode != "thinking blocks"])
async def test_a_client_sends_it_back(mode: str, directory: Path) -> None:
    """A client of chat completions receives what was attached to its call, and the model gets it back from there."""
    async with strict_upstream(mode) as upstream, served(directory, upstream) as client:
        asked = {"model": "Ada", "messages": [HI], "tools": [LOOK]}
        message = (await (await client.post(CHAT, json=asked)).json())["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "A door."}
        answer = await client.post(CHAT, json=asked | {"messages": [HI, message, result]})
        assert (answer.status, upstream.refused) == (200, ["", ""])


@pytest.mark.parametrize("reasoning", ["forward", "hide"])
@pytest.mark.parametrize("mode", DEMANDS)
async def test_a_client_that_sends_nothing_back(mode: str, reasoning: str, directory: Path) -> None:
    """Most clients keep the fields that they know only: the server keeps the others for them, in later turns too."""
    async with strict_upstream(mode) as upstream, served(directory, upstream, reasoning=reasoning) as client:
        asked = {"model": "Ada", "messages": [HI], "tools": [LOOK]}
        message = (await (await client.post(CHAT, json=asked)).json())["choices"][0]["message"]
        function = message["tool_calls"][0]["function"]
        call = {"id": message["tool_calls"][0]["id"], "type": "function", "function": function}
        called = {"role": "assistant", "content": message["content"], "tool_calls": [call]}
        messages = [HI, called, {"role": "tool", "tool_call_id": call["id"], "content": "A door."}]
        said = (await (await client.post(CHAT, json=asked | {"messages": messages})).json())["choices"][0]["message"]
        messages += [{"role": "assistant", "content": said["content"]}, {"role": "user", "content": "And now?"}]
        assert (await client.post(CHAT, json=asked | {"messages": messages})).status == 200
        assert upstream.refused == ["", "", ""]


async def test_a_client_of_responses_that_stores_nothing(directory: Path) -> None:
    """A client that sends all items again sends nothing that was attached."""
    async with strict_upstream("reasoning_content") as upstream, served(directory, upstream) as client:
        function: Any = LOOK["function"]
        asked = {"model": "Ada", "input": [HI], "store": False, "tools": [{"type": "function", **function}]}
        output = (await (await client.post("/v1/responses", json=asked)).json())["output"]
        call = next(item for item in output if item["type"] == "function_call")
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "A door."}
        answer = await client.post("/v1/responses", json=asked | {"input": [HI, call, result]})
        assert (answer.status, upstream.refused) == (200, ["", ""])


async def test_a_stream_has_it_too(directory: Path) -> None:
    """In a stream the fields of a call come with its chunks."""
    async with strict_upstream("extra_content") as upstream, served(directory, upstream) as client:
        asked = {"model": "Ada", "messages": [HI], "tools": [LOOK], "stream": True}
        text = await (await client.post(CHAT, json=asked)).text()
        assert '"extra_content":{"google":{"thought_signature":"c2lnbmF0dXJl"}}' in text


async def test_a_server_that_refuses_it(directory: Path) -> None:
    """Fields that a client brings from elsewhere are left out for a server that does not take them."""
    async with strict_upstream("no-attachments") as upstream, served(directory, upstream) as client:
        assistant = {"role": "assistant", "content": "Hello.", "reasoning_content": "Hm.", "annotations": []}
        answer = await client.post(CHAT, json={"model": "Ada", "messages": [HI, assistant, HI]})
        assert (answer.status, upstream.refused) == (200, ["no-attachments", ""])
        assert upstream.requests[1]["messages"][2] == {"role": "assistant", "content": "Hello."}
        assert upstream.requests[0]["messages"][2] == {
            **upstream.requests[1]["messages"][2],
            "reasoning_content": "Hm.",
        }


async def test_too_much_is_not_kept(directory: Path) -> None:
    """More than 1 MiB attached to a message is left out."""
    async with strict_upstream() as upstream, served(directory, upstream) as client:
        assistant = {"role": "assistant", "content": "Hello.", "reasoning_content": "x" * (1 << 20)}
        body = io.BytesIO(json.dumps({"model": "Ada", "messages": [HI, assistant, HI]}).encode())
        assert (await client.post(CHAT, data=body)).status == 200
        assert "reasoning_content" not in upstream.requests[0]["messages"][2]
