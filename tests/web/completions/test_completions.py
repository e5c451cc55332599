"""Chat completions: what OpenAI's clients send and get."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from pydantic_core import to_json

from charhost.llm.model import CallDelta, Delta, ErrorType, FinishReason, ModelError, Usage
from charhost.settings import Settings
from charhost.web import event_stream as stream
from charhost.web import talk
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import ScriptedModel, Step, call, end

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]
DICE = {"type": "function", "function": {"name": "dice", "parameters": {"type": "object"}}}
STOP = Delta(finish="stop", usage=Usage(10, 5))

Play = Callable[..., ScriptedModel]


@pytest.fixture
def play(client: Client) -> Play:
    """Lets the client's server speak with a script, or with one for each round."""

    def play(*scripts: Sequence[Step]) -> ScriptedModel:
        model = client.app[CONVERSATIONS].models = ScriptedModel(*scripts)
        return model

    return play


async def until_stopped(model: ScriptedModel, seconds: float = 1) -> None:
    """Wait for a model to speak no more."""
    async with asyncio.timeout(seconds):
        while not model.ended:
            await asyncio.sleep(0.01)


async def ask(client: Client, **fields: Any) -> Any:
    """The whole answer, which has to be one."""
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI} | fields)
    assert (answer.status, answer.content_type) == (200, "application/json")
    return await answer.json()


async def lines(client: Client, **fields: Any) -> list[str]:
    """The data of the events of a streamed answer."""
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": True} | fields)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    *events, rest = (await answer.text()).split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]


async def chunks(client: Client, **fields: Any) -> list[Any]:
    """The chunks of a streamed answer that comes to its end."""
    *found, done = await lines(client, **fields)
    assert done == "[DONE]"
    return [json.loads(line) for line in found]


async def refusal(client: Client, status: int, **fields: Any) -> Any:
    """The error that a request is answered with."""
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI} | fields)
    assert (answer.status, answer.content_type) == (status, "application/json")
    error = (await answer.json())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def raw(fields: dict[str, Any]) -> bytes:
    """A request as it goes over the wire."""
    body = to_json(fields)
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)


# In one piece


async def test_an_answer_has_the_shape_of_openai(client: Client, play: Play) -> None:
    """Every field that clients read is there, and the model is the character."""
    play(["Hel", "lo.", STOP])
    answer = await ask(client)
    assert answer.pop("id").startswith("chatcmpl-")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "chat.completion",
        "model": "Ada",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


async def test_the_model_is_told_the_prompt_and_then_what_the_client_sent(client: Client, play: Play) -> None:
    """The character's prompt is in front of the client's system message; options are passed on."""
    script = play(["Hello.", STOP])
    await ask(client, messages=[{"role": "system", "content": "Be brief."}, *HI], temperature=0.5, store=True)
    (request,) = script.requests
    system, user = request.messages
    assert system["content"].index("Be kind.") < system["content"].index("Be brief.")
    assert (user["content"], request.options) == ("Hi", {"temperature": 0.5})


@pytest.mark.parametrize(
    ("reason", "written"), [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")]
)
async def test_the_end_of_an_answer_has_its_reason(
    client: Client, play: Play, reason: FinishReason, written: str
) -> None:
    """Whether it was finished, cut or filtered is told in both kinds of answer."""
    play(["Hello", Delta(finish=reason)])
    assert (await ask(client))["choices"][0]["finish_reason"] == written
    *_, last = await chunks(client)
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, written)


async def test_calls_of_the_clients_tools_are_handed_to_it(client: Client, play: Play) -> None:
    """With nothing but calls the content is null, and the reason says that the client is to act."""
    play([call("dice", '{"sides":6}', "call_0"), call("dice", index=1), end("tool_calls")])
    (choice,) = (await ask(client, tools=[DICE]))["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert choice["message"]["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "dice", "arguments": '{"sides":6}'}},
        {"id": "call_1", "type": "function", "function": {"name": "dice", "arguments": "{}"}},
    ]


ROLLER = f"""
{character("Ada")}
TOOLS = [{{"type": "function", "function": {{"name": "roll_dice"}}}}]
PromptGenerator.handle_tool_call = lambda self, tool_name, tool_input: "6"
"""


async def test_calls_of_the_characters_tools_are_not_seen(client: Client, play: Play, write: Write) -> None:
    """What the character does by itself is one answer, with a blank between its parts, and what both rounds cost."""
    write("ada.py", ROLLER)
    await client.post("/v1/characters/reload", json={})
    rounds = (
        ["I roll.", call("roll_dice"), end("tool_calls", Usage(10, 2))],
        ["A six!", end("stop", Usage(20, 3))],
    )
    play(*rounds)
    answer = await ask(client)
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "I roll. A six!", "refusal": None}
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["total_tokens"]) == ("stop", 35)
    play(*rounds)
    streamed = await chunks(client)
    assert [chunk["choices"][0]["delta"].get("content") for chunk in streamed] == ["", "I roll.", " A six!", None]


async def test_an_answer_of_nothing_is_empty_text(client: Client, play: Play) -> None:
    """Content is null only beside calls."""
    play([STOP])
    assert (await ask(client))["choices"][0]["message"]["content"] == ""


async def test_several_answers_can_be_asked_for(client: Client, play: Play) -> None:
    """Each has its index, in both kinds of answer, and all of them are paid for."""
    script = play(["Hello.", STOP])
    answer = await ask(client, n=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert (len(script.requests), answer["usage"]["total_tokens"]) == (3, 45)
    indexes = [chunk["choices"][0]["index"] for chunk in await chunks(client, n=2)]
    assert indexes == [0, 0, 0, 1, 1, 1]


async def test_half_an_emoji_breaks_nothing(client: Client, play: Play) -> None:
    """What UTF-8 cannot spell is replaced, in what a model says and in what a client says."""
    script = play(["a\ud83d", STOP])
    assert (await ask(client))["choices"][0]["message"]["content"] == "a\ufffd"
    assert (await chunks(client))[1]["choices"][0]["delta"]["content"] == "a\ufffd"
    body = b'{"model":"Ada","messages":[{"role":"user","content":"b\\ud83d"}]}'
    assert (await client.post(CHAT, data=body)).status == 200
    assert script.requests[-1].messages[-1]["content"] == "b\ufffd"


# Streamed


async def test_a_stream_has_the_shape_of_openai(client: Client, play: Play) -> None:
    """First the role, then the words, then the reason; one id throughout, and no chunk without a choice."""
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


async def test_a_stream_tells_its_cost_only_when_asked(client: Client, play: Play) -> None:
    """With `include_usage` one more chunk has the cost and no choice; all others have null."""
    play(["Hello.", STOP])
    *others, last = await chunks(client, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in others] == [None] * 3
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 15)


async def test_calls_are_streamed_piece_by_piece(client: Client, play: Play) -> None:
    """Id and name come once for each index, the arguments as they arrive."""
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


async def test_words_arrive_while_the_model_still_speaks(client: Client, play: Play) -> None:
    """Nothing is held back until the end."""
    rest = asyncio.Event()
    play(["Hel", rest, "lo.", STOP])
    async with client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": True}) as answer:
        async with asyncio.timeout(20):
            while b'"Hel"' not in await answer.content.readuntil(b"\n\n"):
                pass
        rest.set()
        assert (await answer.text()).endswith("data: [DONE]\n\n")


async def test_an_answer_ends_with_the_version_it_began_with(client: Client, play: Play, write: Write) -> None:
    """A reload in the middle, which changes prompt and tools, changes nothing about an answer that is being given."""
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


# Errors


async def test_a_character_that_does_not_exist_is_not_found(client: Client) -> None:
    """Whoever asks for an unknown model learns that, in the shape that SDKs read."""
    error = await refusal(client, 404, model="Nobody")
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")
    assert "Nobody" in error["message"]


@pytest.mark.parametrize("name", ["Ada", " Ada "])
async def test_a_character_is_found_as_people_write_its_name(client: Client, play: Play, name: str) -> None:
    """The answer has the name as the character has it."""
    play(["Hello.", STOP])
    assert (await ask(client, model=name))["model"] == "Ada"


async def test_a_bad_request_names_the_field(client: Client) -> None:
    """What is missing or wrong is told by its path."""
    error = await refusal(client, 400, messages=[{"role": "user", "content": 5}])
    assert (error["code"], error["param"]) == ("invalid_type", "messages[0].content")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("cause", "status", "code", "kind"),
    [
        ("busy", 429, "rate_limit_exceeded", "rate_limit_error"),
        ("rate_limited", 429, "rate_limit_exceeded", "rate_limit_error"),
        ("unreachable", 502, "upstream_error", "server_error"),
        ("unauthorized", 502, "upstream_error", "server_error"),
        ("server_error", 502, "upstream_error", "server_error"),
        ("malformed", 502, "upstream_error", "server_error"),
        ("truncated", 502, "upstream_error", "server_error"),
        ("timeout", 504, "upstream_error", "server_error"),
        ("refused", 400, "upstream_error", "invalid_request_error"),
    ],
)
async def test_a_failure_of_the_model_has_its_status(
    client: Client, play: Play, streamed: bool, cause: ErrorType, status: int, code: str, kind: str
) -> None:
    """Whether a client had better try again is told by the status, also where it asked for a stream."""
    play([ModelError(cause, "It went wrong.")])
    error = await refusal(client, status, stream=streamed)
    assert error == {"message": "It went wrong.", "type": kind, "param": None, "code": code}


@pytest.mark.parametrize(("seconds", "header"), [(None, "1"), (0.2, "1"), (4.5, "5")])
async def test_a_busy_model_says_when_to_come_back(
    client: Client, play: Play, seconds: float | None, header: str
) -> None:
    """The seconds are whole and at least one."""
    play([ModelError("busy", "Too many.", seconds)])
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI})
    assert (answer.status, answer.headers["Retry-After"]) == (429, header)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_character_that_fails_is_not_asked_again(
    client: Client, play: Play, write: Write, streamed: bool
) -> None:
    """A prompt that cannot be made is a 500 that tells SDKs not to retry."""
    write("ada.py", character("Ada").replace('return self.instructions["text"]', "raise ValueError('secret')"))
    await client.post("/v1/characters/reload", json={})
    play(["Hello.", STOP])
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": streamed})
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    error = (await answer.json())["error"]
    assert (error["code"], error["type"], "secret" in error["message"]) == ("prompt_failed", "server_error", False)


async def test_an_unforeseen_fault_is_not_asked_again(client: Client, play: Play) -> None:
    """A fault of charhost is a 500 that tells SDKs not to retry, and nothing else."""
    play([LookupError("a secret")])
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI})
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    error = (await answer.json())["error"]
    assert (error["code"], "secret" in error["message"]) == ("internal_error", False)


async def test_a_failure_after_the_first_words_ends_the_stream_with_an_error(client: Client, play: Play) -> None:
    """Then the status is gone: the last line is the error, without `[DONE]`."""
    play(["Hel", ModelError("truncated", "It broke off.")])
    *_, words, error = await lines(client)
    assert json.loads(words)["choices"][0]["delta"] == {"content": "Hel"}
    assert json.loads(error) == {
        "error": {"message": "It broke off.", "type": "server_error", "param": None, "code": "upstream_error"}
    }


async def test_a_fault_after_the_first_words_ends_the_stream_with_an_error(
    client: Client, play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also what nobody foresaw is told in the stream; the log has the details."""
    play(["Hello.", STOP])

    def usage(*_: object) -> bytes:
        raise LookupError("a secret")

    monkeypatch.setattr("charhost.web.completions.event_stream.Chunks.usage", usage)
    *_, error = await lines(client, stream_options={"include_usage": True})
    assert json.loads(error)["error"]["code"] == "internal_error"
    assert "a secret" not in error
    assert "a secret" in caplog.text


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    """What has more bytes than some pictures need is a 413, whether its size is announced or not."""
    monkeypatch.setattr(talk, "MOST_BODY_BYTES", 100)

    async def parts() -> AsyncIterator[bytes]:
        yield b" " * 101

    answer = await client.post(CHAT, data=b" " * 101 if announced else parts())
    assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")


async def test_a_picture_of_many_megabytes_fits(client: Client, play: Play) -> None:
    """Pictures come inside the request."""
    script = play(["Nice.", STOP])
    url = "data:image/png;base64," + "A" * (12 << 20)
    part = {"type": "image_url", "image_url": {"url": url}}
    body = to_json({"model": "Ada", "messages": [{"role": "user", "content": [part]}]})
    assert (await client.post(CHAT, data=io.BytesIO(body))).status == 200
    assert script.requests[0].messages[-1]["content"] == [part]


async def test_a_body_that_does_not_come_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not finish its body is answered at a deadline."""
    monkeypatch.setattr(talk, "BODY_DEADLINE", 0.1)
    done = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await done.wait()

    answer = await client.post(CHAT, data=parts())
    assert (answer.status, (await answer.json())["error"]["code"]) == (408, "request_timeout")
    done.set()


async def test_a_body_that_cannot_be_unpacked_is_a_bad_request(client: Client) -> None:
    """A client that says gzip and sends something else made the mistake, not the server."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = await client.post(CHAT, data=b"{}", headers=headers, skip_auto_headers=["Content-Encoding"])
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(("origin", "status"), [("http://evil.com", 415), (None, 200)])
async def test_a_page_cannot_ask_by_a_form(client: Client, play: Play, origin: str | None, status: int) -> None:
    """A page of another site that posts plain text, for which browsers ask nobody, is refused; a script is not."""
    play(["Hello.", STOP])
    headers = {"Content-Type": "text/plain"} | ({"Origin": origin} if origin else {})
    body = json.dumps({"model": "Ada", "messages": HI})
    assert (await client.post(CHAT, data=body, headers=headers)).status == status


# Clients that leave, and clients that stay and do not read


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("spoken", [False, True])
async def test_a_client_that_leaves_stops_its_model(
    client: Client, play: Play, caplog: pytest.LogCaptureFixture, streamed: bool, spoken: bool
) -> None:
    """Within a second nobody works for it any more, whether it waits for the first word or for the rest."""
    script = play([*(["Hel"] if spoken else []), asyncio.Event()])
    post = asyncio.create_task(client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": streamed}))
    async with asyncio.timeout(20):
        while not script.requests:
            await asyncio.sleep(0.01)
        if streamed and spoken:
            (await post).close()
    post.cancel()
    await until_stopped(script)
    assert caplog.text == ""


async def test_words_for_a_client_that_is_gone_are_no_fault(
    client: Client, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    """Writing to who has just left is the end of an answer and not worth a line in the log."""
    rest = asyncio.Event()
    script = play(["Hel", rest, *["lo."] * 100])
    with socket.create_connection(("127.0.0.1", client.port or 0)) as leaving:
        leaving.sendall(raw({"model": "Ada", "messages": HI, "stream": True}))
        async with asyncio.timeout(20):
            while not script.requests:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        # Closed with a reset: the words are written before the loop has looked at the socket again.
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rest.set()
    await until_stopped(script)
    await asyncio.sleep(0.05)
    assert caplog.text == ""


async def test_a_client_that_takes_nothing_is_cut_off(
    client: Client, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not read holds no model for long."""
    monkeypatch.setattr(stream, "STALLED_READER_LIMIT", 0.2)
    script = play(["x" * 100_000] * 200 + [asyncio.Event()])
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    writer.write(raw({"model": "Ada", "messages": HI, "stream": True}))
    await until_stopped(script, 10)
    writer.close()
    assert b"200 OK" in await reader.readline()


async def test_a_model_that_thinks_for_long_is_waited_for(
    client: Client, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience is for readers: a pause of the model is none of their doing."""
    monkeypatch.setattr(stream, "STALLED_READER_LIMIT", 0.05)
    rest = asyncio.Event()
    play(["Hel", rest, "lo.", STOP])
    asyncio.get_running_loop().call_later(0.3, rest.set)
    assert (await chunks(client))[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_key_is_asked_for_where_one_is_set(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings
) -> None:
    """Without the key there is no answer; with it there is."""
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, api_key="s3cret")))
    client.app[CONVERSATIONS].models = ScriptedModel(["Hello.", STOP])
    assert (await refusal(client, 401))["code"] == "invalid_api_key"
    headers = {"Authorization": "Bearer s3cret"}
    assert (await client.post(CHAT, json={"model": "Ada", "messages": HI}, headers=headers)).status == 200
