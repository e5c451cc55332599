"""The Responses API, as OpenAI's SDK uses it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import openai
import pytest

from charhost.llm.model import Delta, ModelError, Usage
from charhost.memory.offload import LARGE
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS, OFFLOAD
from tests.conftest import Client
from tests.scripted import ScriptedModel, call
from tests.web.responses.helpers import RESPONSES, Play, create, events

LIMIT = 180
STOP = Delta(finish="stop", usage=Usage(10, 5, 4))
DICE = {"type": "function", "name": "dice", "parameters": {"type": "object"}}


async def refusal(client: Client, status: int, **fields: Any) -> Any:
    """The error in OpenAI's shape that a request meets."""
    answer = await client.post(RESPONSES, json={"model": "Ada", "input": "Hi"} | fields)
    assert answer.status == status
    return (await answer.json())["error"]


async def test_text(client: Client, play: Play) -> None:
    """A whole response has the text, the usage and the fields of the request."""
    play(["Hel", "lo.", STOP])
    found = await create(client, temperature=0.5, metadata={"a": "b"})
    assert (found["status"], found["model"], found["temperature"]) == ("completed", "Ada", 0.5)
    assert (found["metadata"], found["store"], found["error"]) == ({"a": "b"}, True, None)
    assert [part["text"] for item in found["output"] for part in item["content"]] == ["Hello."]
    assert (found["usage"]["input_tokens"], found["usage"]["total_tokens"]) == (10, 15)


async def test_stream(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """A streamed response has the events of OpenAI's, in their order."""
    play(["Hel", "lo.", STOP])
    found = await events(sdk)
    assert [event.type for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert found[-1].response.output_text == "Hello."


async def test_instructions_and_options_reach_the_model(client: Client, play: Play) -> None:
    """The client's instructions follow the character's prompt; options have the names of chat completions."""
    model = play(["x", STOP])
    shape = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    text = {"format": shape, "verbosity": "low"}
    found = await create(client, instructions="Be brief.", max_output_tokens=50, reasoning={"effort": "low"}, text=text)
    assert found["instructions"] == "Be brief."
    assert model.messages[0]["content"].endswith("Be brief.")
    assert model.requests[-1].options == {
        "max_tokens": 50,
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
    }


async def test_a_whole_number_may_have_a_point(client: Client, play: Play) -> None:
    """A number of tokens may be written as 50.0, but not as 50.5, and has to be positive."""
    model = play(["x", STOP])
    await create(client, max_output_tokens=50.0)
    assert model.requests[-1].options == {"max_tokens": 50}
    for wrong in (50.5, 0.0):
        assert (await refusal(client, 400, max_output_tokens=wrong))["param"] == "max_output_tokens"


async def test_chain(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """A response goes on from a stored one, whose input and output the model receives again."""
    model = play(["One.", STOP], ["Two.", STOP])
    first = await sdk.responses.create(model="Ada", input="1?")
    second = await sdk.responses.create(model="Ada", input="2?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert [message["content"] for message in model.messages[1:]] == ["1?", "One.", "2?"]


async def test_function_call(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """A call of the client's function, its result in the next response, and the text about it."""
    model = play([call("dice", '{"count": 2}')], ["Seven.", STOP])
    tools: Any = [DICE]
    found = await events(sdk, tools=tools, tool_choice="required")
    (item,) = found[-1].response.output
    assert (item.type, item.name, item.arguments) == ("function_call", "dice", '{"count": 2}')
    assert "response.function_call_arguments.done" in [event.type for event in found]
    result: Any = [{"type": "function_call_output", "call_id": item.call_id, "output": "7"}]
    second = await sdk.responses.create(
        model="Ada", input=result, tools=tools, previous_response_id=found[-1].response.id
    )
    assert second.output_text == "Seven."
    assert model.messages[-1] == {"role": "tool", "tool_call_id": item.call_id, "content": "7"}
    assert model.requests[0].tool_choice == "required"


async def test_input_items(client: Client, play: Play) -> None:
    """Messages, calls, results and images of the input are those of the conversation; reasoning is left out."""
    model = play(["x", STOP])
    await create(
        client,
        store=False,
        input=[
            {"role": "developer", "content": "Be quick."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Roll"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "dice", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "7"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Seven.", "annotations": []}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
        ],
    )
    assert [message["role"] for message in model.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert model.messages[0]["content"].endswith("Be quick.")


async def test_retrieve_and_delete(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """A stored response is found by its id until it is deleted; it holds nothing of the character's prompt."""
    play(["Hello.", STOP])
    made = await sdk.responses.create(model="Ada", input="Hi")
    found = await sdk.responses.retrieve(made.id)
    assert found == made
    assert "Be kind" not in found.to_json()
    await sdk.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(made.id)


async def test_input_items_of_a_response(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """The input of a stored response is listed."""
    play(["Hello.", STOP])
    made = await sdk.responses.create(model="Ada", input="Hi")
    listed = [item.to_dict() async for item in sdk.responses.input_items.list(made.id)]
    assert [item["content"] for item in listed] == [[{"type": "input_text", "text": "Hi"}]]


async def test_not_stored(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """With `store` false a response is not found again."""
    play(["Hello.", STOP])
    made = await sdk.responses.create(model="Ada", input="Hi", store=False)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(made.id)


async def test_cancel(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """A streamed response that is cancelled ends as incomplete, and its text so far is kept."""
    model = play(["Hel", asyncio.Event()])
    stream = await sdk.responses.create(model="Ada", input="Hi", stream=True)
    found: list[Any] = []
    async for event in stream:
        found.append(event)
        if event.type == "response.output_text.delta":
            cancelled = await sdk.responses.cancel(found[0].response.id)
    assert cancelled.id == found[0].response.id
    assert found[-1].type == "response.incomplete"
    assert found[-1].response.status == "cancelled"
    assert model.ended == 1
    with pytest.raises(openai.BadRequestError):
        await sdk.responses.cancel(found[0].response.id)


async def test_a_response_is_kept_at_its_end(client: Client, sdk: openai.AsyncOpenAI, play: Play) -> None:
    """It waits for nothing, such as large work, during which a client that leaves would lose it."""
    end, proceed = asyncio.Event(), threading.Event()
    play(["Hel", end])
    stream = await sdk.responses.create(model="Ada", input="x" * (2 * LARGE), stream=True)
    begun: list[Any] = [await anext(stream) for _ in range(4)]
    working = asyncio.create_task(client.app[OFFLOAD].run(LARGE, partial(proceed.wait, LIMIT)))
    end.set()
    try:
        async with asyncio.timeout(LIMIT):
            kinds = [event.type async for event in stream]
    finally:
        proceed.set()
    assert await working
    assert kinds[-1] == "response.completed"
    assert begun[0].response.id == (await sdk.responses.retrieve(begun[0].response.id)).id


async def test_stored_responses_belong_to_their_owner(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings
) -> None:
    """Another key neither finds, goes on from, cancels nor deletes a response."""
    keyed = settings.model_copy(update={"api_key": Settings(api_key="mine-0123456789abc,yours-0123456789ab").api_key})
    client = await aiohttp_client(create_app(keyed))
    client.app[CONVERSATIONS].models = ScriptedModel(["Hello.", STOP])
    base = str(client.make_url("/v1"))
    async with (
        openai.AsyncOpenAI(base_url=base, api_key="mine-0123456789abc", max_retries=0) as mine,
        openai.AsyncOpenAI(base_url=base, api_key="yours-0123456789ab", max_retries=0) as yours,
    ):
        made = await mine.responses.create(model="Ada", input="Hi")
        for attempt in (yours.responses.retrieve, yours.responses.delete, yours.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                await attempt(made.id)
        with pytest.raises(openai.BadRequestError) as caught:
            await yours.responses.create(model="Ada", input="Hi", previous_response_id=made.id)
        assert caught.value.code == "previous_response_not_found"
        assert (await mine.responses.retrieve(made.id)).id == made.id


async def test_hosted_tools(client: Client) -> None:
    """A tool of OpenAI's own server is refused by name."""
    error = await refusal(client, 400, tools=[{"type": "web_search"}])
    assert "web_search" in error["message"]
    assert error["param"].startswith("tools")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"type": "computer_call"}]}, "input[0]"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"previous_response_id": "resp_none"}, "previous_response_id"),
    ],
)
async def test_refused_fields(fields: dict[str, Any], param: str, client: Client) -> None:
    """A wrong or unsupported field is a 400 that names it."""
    assert (await refusal(client, 400, **fields))["param"] == param


async def test_unknown_character(client: Client) -> None:
    """An unknown character is a 404 as in chat completions."""
    assert (await refusal(client, 404, model="Nobody"))["code"] == "model_not_found"


async def test_failure(client: Client, sdk: openai.AsyncOpenAI, play: Play) -> None:
    """A failed model is an error status of a whole response, and `response.failed` of a streamed one."""
    play([ModelError("server_error", "The model's server failed.")])
    assert (await refusal(client, 502))["code"] == "upstream_error"
    play(["Hel", ModelError("server_error", "The model's server failed.")])
    last = (await events(sdk))[-1]
    assert last.type == "response.failed"
    assert last.response.error.message == "The model's server failed."


async def test_incomplete(client: Client, play: Play) -> None:
    """A response that was cut by its limit is incomplete, with the reason."""
    play(["Hel", Delta(finish="length")])
    found = await create(client)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


async def test_chain_after_a_reload(client: Client, sdk: openai.AsyncOpenAI, play: Play, write: Any) -> None:
    """After a reload a chain goes on with the new version of its character."""
    model = play(["One.", STOP], ["Two.", STOP])
    first = await sdk.responses.create(model="Ada", input="1?")
    source = (client.app[CONVERSATIONS].settings.directory / "ada.py").read_text()
    write("ada.py", source.replace("Be kind.", "Be new."))
    assert (await client.post("/v1/characters/reload", json={})).status == 200
    await sdk.responses.create(model="Ada", input="2?", previous_response_id=first.id)
    assert model.messages[0]["content"] == "Be new."
    assert [message["content"] for message in model.messages[1:]] == ["1?", "One.", "2?"]
