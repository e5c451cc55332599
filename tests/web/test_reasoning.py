"""The thinking of a model at each door, over real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Client
from tests.strict_upstream import strict_upstream
from tests.web.thinking_upstream import CHAT, HI, LOOKER, served, talked

TAGS = ("<th", "ink>I should", " look.</th", "ink>\n\n", "Hello", " from", " the", " model.")
ASKED = {"model": "Ada", "messages": [HI]}
MODES: list[tuple[str, dict[str, Any]]] = [
    ("reasoning_content", {}),
    ("reasoning_details", {}),
    ("thinking blocks", {}),
    ("tags", {"words": TAGS}),
]

modes = pytest.mark.parametrize(("mode", "more"), MODES, ids=[mode for mode, _ in MODES])


def upstream_of(mode: str, more: dict[str, Any]) -> Any:
    """Return a model's server that thinks in that way."""
    return strict_upstream(*([] if mode == "tags" else [mode]), **more)


async def whole(client: Client) -> Any:
    """Return the message of a whole chat completion."""
    return (await (await client.post(CHAT, json=ASKED)).json())["choices"][0]["message"]


async def deltas(client: Client) -> list[Any]:
    """Return the deltas of a streamed chat completion."""
    text = await (await client.post(CHAT, json=ASKED | {"stream": True})).text()
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: {")]
    return [json.loads(line)["choices"][0]["delta"] for line in lines]


def joined(pieces: list[Any], name: str) -> str:
    """Return a text from the deltas that hold it."""
    return "".join(piece.get(name) or "" for piece in pieces)


@modes
async def test_chat_completions_forward_it(mode: str, more: dict[str, Any], directory: Path) -> None:
    """Thinking is `reasoning_content` in chat completions, whole and streamed, and not in the content."""
    async with upstream_of(mode, more) as upstream, served(directory, upstream) as client:
        message = await whole(client)
        assert (message["reasoning_content"], message["content"]) == ("I should look.", "Hello from the model.")
        pieces = await deltas(client)
        assert joined(pieces, "reasoning_content") == "I should look."
        assert joined(pieces, "content") == "Hello from the model."


@modes
async def test_it_can_be_hidden(mode: str, more: dict[str, Any], directory: Path) -> None:
    """With --reasoning hide nothing of it is in a chat completion."""
    async with upstream_of(mode, more) as upstream, served(directory, upstream, reasoning="hide") as client:
        for streamed in (False, True):
            text = await (await client.post(CHAT, json=ASKED | {"stream": streamed})).text()
            assert "I should" not in text
            assert "reasoning" not in text
            assert "thinking" not in text
        assert (await whole(client))["content"] == "Hello from the model."


@modes
async def test_responses_have_it_as_an_item(mode: str, more: dict[str, Any], directory: Path) -> None:
    """Thinking is an item of a response before the message, and not in its text."""
    async with upstream_of(mode, more) as upstream, served(directory, upstream) as client:
        found = await (await client.post("/v1/responses", json={"model": "Ada", "input": "Hi"})).json()
        texts = [(item["type"], "".join(part["text"] for part in item["content"])) for item in found["output"]]
        assert texts == [("reasoning", "I should look."), ("message", "Hello from the model.")]


@modes
async def test_realtime_clients_get_nothing_of_it(mode: str, more: dict[str, Any], directory: Path) -> None:
    """No event of a session has the thinking; `talked` asserts it."""
    async with upstream_of(mode, more) as upstream, served(directory, upstream) as client:
        await talked(client, None)


async def test_unmute_speaks_none_of_it(directory: Path) -> None:
    """The words that unmute's clients speak are those of the reply."""
    async with (
        strict_upstream(words=TAGS) as upstream,
        served(directory, upstream) as client,
        client.ws_connect("/v1/realtime", params={"dialect": "unmute", "model": "Ada"}) as socket,
    ):
        await socket.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await socket.send_json({"type": "input_audio_buffer.append", "audio": "T2dnUw=="})
        words = []
        while (event := await socket.receive_json())["type"] != "response.text.done":
            if event["type"] == "response.text.delta":
                words.append(event["delta"])
        assert (words, event["text"]) == (["Hello", "from", "the", "model."], "Hello from the model.")


async def test_thinking_before_a_tool_of_the_character(directory: Path) -> None:
    """The thinking of all rounds is forwarded, and the tool's call stays hidden."""
    (directory / "ada.py").write_text(LOOKER)
    async with strict_upstream("reasoning_content") as upstream, served(directory, upstream) as client:
        message = await whole(client)
        assert message["reasoning_content"] == "I should look." * 2
        assert (message["content"], "tool_calls" in message) == ("Hello from the model.", False)
