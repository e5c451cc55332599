"""The stream of a chat completion, and clients that leave it or do not read it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest

from charhost.llm.model import ModelError
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import call, end
from tests.web.completions.helpers import CHAT, HI, ROLLER, STOP, Play, lines, raw, until_stopped


async def test_text_is_sent_before_the_model_has_finished(client: Client, play: Play) -> None:
    """Text is sent before the model has finished."""
    rest = asyncio.Event()
    play(["Hel", rest, "lo.", STOP])
    async with client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": True}) as answer:
        async with asyncio.timeout(60):
            while b'"Hel"' not in await answer.content.readuntil(b"\n\n"):
                pass
        rest.set()
        assert (await answer.text()).endswith("data: [DONE]\n\n")


async def test_an_answer_ends_with_the_version_it_began_with(client: Client, play: Play, write: Write) -> None:
    """A reload during a response does not change the character that it uses."""
    write("ada.py", ROLLER)
    await client.post("/v1/characters/reload", json={})
    rest = asyncio.Event()
    script = play(["I roll.", rest, call("roll_dice"), end("tool_calls")], ["A six!", STOP])
    async with client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": True}) as answer:
        await answer.content.readuntil(b"I roll.")
        write("ada.py", character("Eva", "Be rude."))
        report = await (await client.post("/v1/characters/reload", json={})).json()
        assert report["changes"]["removed"] == ["Ada"]
        rest.set()
        assert "A six!" in await answer.text()
    assert script.requests[1].messages[0]["content"] == "Be kind."
    assert script.requests[1].messages[-1] == {"role": "tool", "tool_call_id": "call_1", "content": "6"}


async def test_a_failure_after_the_first_words_ends_the_stream_with_an_error(client: Client, play: Play) -> None:
    """A failure of the model during a stream is its last event, without `[DONE]`."""
    play(["Hel", ModelError("truncated", "It broke off.")])
    *_, words, error = await lines(client)
    assert json.loads(words)["choices"][0]["delta"] == {"content": "Hel"}
    assert json.loads(error) == {
        "error": {"message": "It broke off.", "type": "server_error", "param": None, "code": "upstream_error"}
    }


async def test_a_fault_after_the_first_words_ends_the_stream_with_an_error(
    client: Client, play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error during a stream is its last event, and the log has the details."""
    play(["Hello.", STOP])

    def usage(*_: object) -> bytes:
        raise LookupError("a secret")

    monkeypatch.setattr("charhost.web.completions.chunks.Chunks.usage", usage)
    *_, error = await lines(client, stream_options={"include_usage": True})
    assert json.loads(error)["error"]["code"] == "internal_error"
    assert "a secret" not in error
    assert "a secret" in caplog.text


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("spoken", [False, True])
async def test_a_client_that_leaves_stops_its_model(
    client: Client, play: Play, caplog: pytest.LogCaptureFixture, streamed: bool, spoken: bool
) -> None:
    """After the client has left the model stops, before its first word and after it."""
    script = play([*(["Hel"] if spoken else []), asyncio.Event()])
    post = asyncio.create_task(client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": streamed}))
    async with asyncio.timeout(60):
        while not script.requests:
            await asyncio.sleep(0.01)
        if streamed and spoken:
            (await post).close()
    post.cancel()
    await until_stopped(script)
    assert caplog.text == ""


async def test_writing_to_a_client_that_is_gone_is_not_logged(
    client: Client, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    """Writing to a client that has just left is not logged."""
    rest = asyncio.Event()
    script = play(["Hel", rest, *["lo."] * 100])
    with socket.create_connection(("127.0.0.1", client.port or 0)) as leaving:
        leaving.sendall(raw({"model": "Ada", "messages": HI, "stream": True}))
        async with asyncio.timeout(60):
            while not script.requests:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        # Closed with a reset: the words are written before the loop has looked at the socket again.
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rest.set()
    await until_stopped(script)
    await asyncio.sleep(0.05)
    assert caplog.text == ""
