"""A chat completion in one response."""

from __future__ import annotations

import pytest

from charhost.llm.model import Delta, FinishReason, Usage
from tests.conftest import Client
from tests.reload.helpers import Write
from tests.scripted import call, end
from tests.web.completions.helpers import CHAT, DICE, HI, ROLLER, STOP, Play, ask, chunks


async def test_an_answer_has_the_shape_of_openai(client: Client, play: Play) -> None:
    """A completion has every field of OpenAI's, and the character as its model."""
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


async def test_the_model_receives_the_prompt_first(client: Client, play: Play) -> None:
    """The model receives the character's prompt before the client's system message, and the client's options."""
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
    """The finish reason is sent in both kinds of response."""
    play(["Hello", Delta(finish=reason)])
    assert (await ask(client))["choices"][0]["finish_reason"] == written
    *_, last = await chunks(client)
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, written)


async def test_calls_of_the_clients_tools_are_sent_to_it(client: Client, play: Play) -> None:
    """Calls of the client's tools are sent to it, with null content and the reason `tool_calls`."""
    play([call("dice", '{"sides":6}', "call_0"), call("dice", index=1), end("tool_calls")])
    (choice,) = (await ask(client, tools=[DICE]))["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert choice["message"]["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "dice", "arguments": '{"sides":6}'}},
        {"id": "call_1", "type": "function", "function": {"name": "dice", "arguments": "{}"}},
    ]


async def test_calls_of_the_characters_tools_are_not_seen(client: Client, play: Play, write: Write) -> None:
    """Calls of the character's own tools are hidden in one message, and the usage is that of both rounds."""
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
    """An empty message has the content "", not null."""
    play([STOP])
    assert (await ask(client))["choices"][0]["message"]["content"] == ""


async def test_several_answers_can_be_asked_for(client: Client, play: Play) -> None:
    """With `n` each choice has its index, in both kinds of response, and the usage is that of all."""
    script = play(["Hello.", STOP])
    answer = await ask(client, n=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert (len(script.requests), answer["usage"]["total_tokens"]) == (3, 45)
    indexes = [chunk["choices"][0]["index"] for chunk in await chunks(client, n=2)]
    assert indexes == [0, 0, 0, 1, 1, 1]


async def test_half_an_emoji_breaks_nothing(client: Client, play: Play) -> None:
    """A lone surrogate is replaced, in the model's text and in the client's."""
    script = play(["a\ud83d", STOP])
    assert (await ask(client))["choices"][0]["message"]["content"] == "a\ufffd"
    assert (await chunks(client))[1]["choices"][0]["delta"]["content"] == "a\ufffd"
    body = b'{"model":"Ada","messages":[{"role":"user","content":"b\\ud83d"}]}'
    assert (await client.post(CHAT, data=body)).status == 200
    assert script.requests[-1].messages[-1]["content"] == "b\ufffd"


@pytest.mark.parametrize("name", ["Ada", " Ada "])
async def test_a_character_is_found_with_spaces_around_its_name(client: Client, play: Play, name: str) -> None:
    """A name is found with spaces around it, and the response has the character's own."""
    play(["Hello.", STOP])
    assert (await ask(client, model=name))["model"] == "Ada"
