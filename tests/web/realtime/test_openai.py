"""The GA and the beta dialect over real sockets: each test also checks the grammar of all that its client is sent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any, Literal

import pytest

from charhost.llm.model import FinishReason, ModelError
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS, METRICS, SESSIONS
from charhost.web.protocol.response_events import ResponseEvents
from charhost.web.sessions.close_message import CloseMessage
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import Step, end
from tests.web.realtime.event_grammar import Dialect, Event
from tests.web.realtime.openai_client import (
    CALL,
    DIALECTS,
    LIMIT,
    MESSAGE,
    REALTIME,
    WEATHER,
    Caller,
    Script,
    call,
    calling,
    spelled,
    transport,
)


@pytest.fixture
async def script(client: Client) -> Script:
    """The scripted model of all characters."""
    script = Script()
    client.app[CONVERSATIONS].models = script
    return script


@pytest.fixture
async def caller(client: Client, script: Script) -> AsyncIterator[Caller]:
    """A GA client that was greeted."""
    async with calling(client) as caller:
        yield caller


# The traces of realtime-protocol.md, 3.5


@DIALECTS
async def test_text_turn(client: Client, script: Script, dialect: Dialect) -> None:
    """A text turn has the order of OpenAI's, from the user's item to the end of the response."""
    script.then("Hello", " there", ".")
    async with calling(client, dialect) as caller:
        await caller.add("Hi")
        done = await caller.respond()
        assert caller.since("response.created") == spelled(["response.created", *MESSAGE, "response.done"], dialect)
    kind = "output_text" if dialect == "ga" else "text"
    assert done["output"][0]["content"] == [{"type": kind, "text": "Hello there."}]
    assert (done["status"], done["usage"]["input_tokens"], done["usage"]["output_tokens"]) == ("completed", 7, 3)


async def test_items_follow_each_other(caller: Caller) -> None:
    """Each item names the one before it, and the first one names none."""
    first = await caller.add("Hi")
    await caller.respond()
    answer = next(e for e in caller.events if e["type"] == "conversation.item.done" and e["item"]["role"] != "user")
    second = await caller.add("And?")
    assert (first["previous_item_id"], answer["previous_item_id"]) == (None, first["item"]["id"])
    assert second["previous_item_id"] == answer["item"]["id"]


@DIALECTS
async def test_function_call(client: Client, script: Script, dialect: Dialect) -> None:
    """A call of a client's tool is handed to the client, in pieces and then whole."""
    script.then(call("get_weather", '{"city":', '"Rome"}'), end("tool_calls"))
    async with calling(client, dialect) as caller:
        await caller.update(tools=[WEATHER])
        await caller.add("How is the weather?")
        (item,) = (await caller.respond())["output"]
        assert caller.since("response.created") == spelled(["response.created", *CALL, "response.done"], dialect)
    assert (item["name"], item["call_id"], item["arguments"]) == ("get_weather", "call_1", '{"city":"Rome"}')


async def test_tool_round_trip(caller: Caller, script: Script) -> None:
    """The client's result is sent to the model after its call, and a text turn follows."""
    script.then(call("get_weather", "{}"), end("tool_calls")).then("Sunny.")
    await caller.update(tools=[WEATHER])
    await caller.add("How is the weather?")
    await caller.respond()
    await caller.create({"type": "function_call_output", "call_id": "call_1", "output": "sun"})
    assert (await caller.respond())["output"][0]["content"][0]["text"] == "Sunny."
    asked, result = script.requests[1].messages[-2:]
    assert asked["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": "{}"}
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "sun")


@DIALECTS
async def test_text_before_several_calls(client: Client, script: Script, dialect: Dialect) -> None:
    """Each is an item of its own, closed before the next one begins, with a rising index."""
    pieces = (call("get_weather", '{"city":"Rome"}'), call("get_weather", '{"city":"Oslo"}', index=1))
    script.then("I look.", *pieces, end("tool_calls"))
    async with calling(client, dialect) as caller:
        await caller.update(tools=[WEATHER])
        output = (await caller.respond())["output"]
        expected = ["response.created", *MESSAGE, *CALL, *CALL, "response.done"]
        assert caller.since("response.created") == spelled(expected, dialect)
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]


async def test_call_without_arguments(caller: Caller, script: Script) -> None:
    """A call without arguments has an empty object, not an empty text."""
    script.then(call("get_weather"), end("tool_calls"))
    await caller.update(tools=[WEATHER])
    assert (await caller.respond())["output"][0]["arguments"] == "{}"
    assert "response.function_call_arguments.delta" in caller.since("response.created")


@DIALECTS
async def test_cancel_in_the_middle(client: Client, script: Script, dialect: Dialect) -> None:
    """A cancelled response closes its text as incomplete, and the model is stopped."""
    script.then("Once upon", " a time", script.go, "never")
    async with calling(client, dialect) as caller:
        await caller.send("response.create")
        for _ in range(2):
            await caller.until(spelled(["response.output_text.delta"], dialect)[0])
        await caller.send("response.cancel")
        done = (await caller.until("response.done"))["response"]
        assert caller.since("response.created") == spelled(["response.created", *MESSAGE, "response.done"], dialect)
        await asyncio.wait_for(script.stopped(), LIMIT)
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert (done["output"][0]["status"], done["output"][0]["content"][0]["text"]) == ("incomplete", "Once upon a time")


async def test_cancelled_words_stay(caller: Caller, script: Script) -> None:
    """The model receives the text of a cancelled response in the next turn."""
    script.then("Once upon", script.go)
    await caller.send("response.create")
    await caller.until("response.output_text.delta")
    await caller.send("response.cancel")
    await caller.until("response.done")
    await caller.add("Go on.")
    await caller.respond()
    assert [message["content"] for message in script.requests[1].messages[-2:]] == ["Once upon", "Go on."]


@DIALECTS
async def test_cancel_before_anything(client: Client, script: Script, dialect: Dialect) -> None:
    """A response that is cancelled before its first text has only its end."""
    script.then(script.go)
    async with calling(client, dialect) as caller:
        await caller.ask("response.create")
        await caller.send("response.cancel")
        done = (await caller.until("response.done"))["response"]
        assert caller.since("response.created") == ["response.created", "response.done"]
    assert (done["status"], done["output"]) == ("cancelled", [])


async def test_cancel_in_a_call(caller: Caller, script: Script) -> None:
    """A call that was cut off is closed as incomplete."""
    script.then(call("get_weather", '{"ci'), script.go)
    await caller.update(tools=[WEATHER])
    await caller.send("response.create")
    await caller.until("response.function_call_arguments.delta")
    await caller.send("response.cancel")
    (item,) = (await caller.until("response.done"))["response"]["output"]
    assert (item["status"], item["arguments"]) == ("incomplete", '{"ci')


@DIALECTS
@pytest.mark.parametrize("pieces", [(), ("Once upon",)])
async def test_failure_of_the_model(client: Client, script: Script, dialect: Dialect, pieces: tuple[str, ...]) -> None:
    """A failure of the model fails the response without an error event, and the session continues."""
    script.then(*pieces, ModelError("server_error", "The language model failed.")).then("Yes.")
    async with calling(client, dialect) as caller:
        done = await caller.respond()
        trace = spelled(["response.created", *(MESSAGE if pieces else ()), "response.done"], dialect)
        assert caller.since("response.created") == trace
        assert (await caller.respond())["status"] == "completed"
    error = done["status_details"]["error"]
    assert (done["status"], error["type"], error["code"]) == ("failed", "server_error", "upstream_error")
    assert error["message"] == "The language model failed."
    assert [item["status"] for item in done["output"]] == ["incomplete"] * len(pieces)


@pytest.mark.parametrize(
    ("reason", "reported"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_incomplete_answer(caller: Caller, script: Script, reason: FinishReason, reported: str) -> None:
    """A response that reached a limit is incomplete."""
    script.then("Once", end(reason))
    done = await caller.respond()
    assert (done["status"], done["status_details"]) == ("incomplete", {"type": "incomplete", "reason": reported})
    assert done["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("busy", ["busy", "rate_limited"])
async def test_busy_model(caller: Caller, script: Script, busy: Literal["busy", "rate_limited"]) -> None:
    """A busy model has an error code of its own."""
    script.then(ModelError(busy, "Later."))
    assert (await caller.respond())["status_details"]["error"]["code"] == "rate_limit_exceeded"


async def test_fault_in_a_turn(caller: Caller, script: Script) -> None:
    """An unexpected error shows no details to the client, and the session continues."""
    script.then("Once", RuntimeError("s3cret")).then("Yes.")
    done = await caller.respond()
    assert done["status_details"]["error"]["code"] == "internal_error"
    assert "s3cret" not in str(caller.events)
    assert (await caller.respond())["status"] == "completed"


async def test_failing_prompt(client: Client, script: Script, write: Write) -> None:
    """A character that cannot make its prompt fails the response, not the session; later it may succeed."""
    reading = "return __import__('pathlib').Path(__file__).with_suffix('.txt').read_text()"
    text = write("ada.txt", "Be kind.")
    write("ada.py", character("Ada").replace('return self.instructions["text"]', reading))
    await client.post("/v1/characters/reload", json={})
    async with calling(client) as caller:
        text.unlink()
        assert (await caller.respond())["status_details"]["error"]["code"] == "prompt_failed"
        write("ada.txt", "Be kind.")
        assert (await caller.respond())["status"] == "completed"


async def test_tools_of_the_character_are_not_seen(client: Client, script: Script, write: Write) -> None:
    """A call of the character's own tool has no events, and its result is sent to the model."""
    tool = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
    source = character("Ada").replace("class", f"TOOLS = [{tool}]\n\n\nclass")
    source += "\n    def get_tools(self):\n        return TOOLS\n"
    source += "\n    def handle_tool_call(self, tool_name, tool_input):\n        return 'six'\n"
    write("ada.py", source)
    await client.post("/v1/characters/reload", json={})
    script.then("I roll.", call("roll", "{}"), end("tool_calls")).then("Six!")
    async with calling(client) as caller:
        done = await caller.respond()
        assert [item["content"][0]["text"] for item in done["output"]] == ["I roll.", "Six!"]
        result = {"type": "function_call_output", "call_id": "call_1", "output": "one"}
        assert (await caller.error("conversation.item.create", item=result))["param"] == "item.call_id"
    assert script.requests[1].messages[-1]["content"] == "six"
    assert "roll" not in {event.get("name") for event in caller.events}


async def test_character_opens_the_talk(caller: Caller, script: Script) -> None:
    """In an empty conversation the model is greeted, as many refuse a request without a user."""
    await caller.respond()
    assert [(m["role"], m["content"]) for m in script.requests[0].messages] == [
        ("system", "Be kind."),
        ("user", "Hello."),
    ]


# session.update


async def test_session_event_is_complete(caller: Caller) -> None:
    """Everything that 3.1 lists is there, and the character's prompt is not."""
    session = caller.events[0]["session"]
    assert {key: session[key] for key in ("type", "object", "model", "instructions", "tools", "tool_choice")} == {
        "type": "realtime",
        "object": "realtime.session",
        "model": "Ada",
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
    }
    assert session["audio"]["output"]["voice"] == "Ada"
    assert session["audio"]["input"]["turn_detection"] is None
    assert "Be kind." not in str(session)


async def test_beta_session_is_flat(client: Client, script: Script) -> None:
    """The beta dialect has its own names, and no `type`."""
    async with calling(client, "beta") as caller:
        session = await caller.update(modalities=["audio", "text"], voice="x", output_audio_format="g711_ulaw")
    assert (session["modalities"], session["voice"], session["output_audio_format"]) == (["text"], "x", "g711_ulaw")
    assert not {"type", "audio", "output_modalities"} & session.keys()


async def test_instructions_come_behind_the_prompt(caller: Caller, script: Script) -> None:
    """A client's instructions follow the character's prompt, which is never sent to the client."""
    assert (await caller.update(instructions="Be brief."))["instructions"] == "Be brief."
    await caller.respond()
    assert (await caller.update(instructions=""))["instructions"] == ""
    await caller.respond()
    systems = [request.messages[0]["content"] for request in script.requests]
    assert systems == ["Be kind.\n\nBe brief.", "Be kind."]
    assert "Be kind." not in str(caller.events)


async def test_update_between_two_deltas(caller: Caller, script: Script) -> None:
    """An update during a response is acknowledged at once, and is valid from the next response on."""
    script.then("Once", script.go, " upon")
    await caller.send("response.create")
    await caller.until("response.output_text.delta")
    assert (await caller.ask("session.update", session={"instructions": "New."}))["type"] == "session.updated"
    script.go.set()
    assert (await caller.until("response.done"))["response"]["status"] == "completed"
    await caller.respond()
    assert ["New." in request.messages[0]["content"] for request in script.requests] == [False, True]


async def test_what_the_model_is_asked(caller: Caller, script: Script) -> None:
    """Tools, choice and limit of the session go to the model in the words of chat completions."""
    choice = {"type": "function", "name": "get_weather"}
    await caller.update(tools=[WEATHER], tool_choice=choice, max_output_tokens=50)
    await caller.respond()
    (request,) = script.requests
    assert request.tools == [{"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}]
    assert request.tool_choice == {"type": "function", "function": {"name": "get_weather"}}
    assert request.options == {"max_tokens": 50}


# conversation.item.*


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]},
        {"type": "function_call", "call_id": "call_9", "name": "f", "arguments": "{}"},
    ],
)
async def test_item_is_given_back(caller: Caller, item: dict[str, Any]) -> None:
    """An item that a client creates is sent back with an id and a status, and can be retrieved."""
    created = (await caller.create(item))["item"]
    assert created == item | {"id": created["id"], "object": "realtime.item", "status": "completed"}
    assert (await caller.ask("conversation.item.retrieve", item_id=created["id"]))["item"] == created


async def test_id_of_a_client_is_kept(caller: Caller) -> None:
    """An id that the client chose stays, also one that is strange."""
    assert (await caller.add(id="my own ☕"))["item"]["id"] == "my own ☕"


@pytest.mark.parametrize(("previous", "place"), [("root", 0), ("a", 1), ("b", 2), ("", 2), (None, 2)])
async def test_place_of_an_item(caller: Caller, script: Script, previous: str | None, place: int) -> None:
    """An item is put at the front, behind another one, or at the end."""
    await caller.add("A", id="a")
    await caller.add("B", id="b")
    added = await caller.add("New", previous=previous)
    await caller.respond()
    assert added["previous_item_id"] == (None, "a", "b")[place]
    assert [message["content"] for message in script.requests[0].messages[1:]].index("New") == place


async def test_deleted_item_is_forgotten(caller: Caller, script: Script) -> None:
    """A deleted item cannot be retrieved, and is not sent to the model."""
    await caller.add("A", id="a")
    await caller.add("B", id="b")
    assert (await caller.ask("conversation.item.delete", item_id="a"))["type"] == "conversation.item.deleted"
    assert (await caller.error("conversation.item.retrieve", item_id="a"))["code"] == "item_retrieve_invalid_item_id"
    await caller.respond()
    assert [message["content"] for message in script.requests[0].messages[1:]] == ["B"]


async def test_item_during_a_response(caller: Caller, script: Script) -> None:
    """An item that is created during a response is acknowledged at once, and part of the next response."""
    script.then("Once", script.go)
    await caller.send("response.create")
    await caller.until("response.output_text.delta")
    item = await caller.add("Wait!")
    script.go.set()
    done = (await caller.until("response.done"))["response"]
    assert item["previous_item_id"] == done["output"][0]["id"]
    await caller.respond()
    assert [message["content"] for message in script.requests[1].messages[-2:]] == ["Once", "Wait!"]


async def test_delete_of_the_item_in_progress(caller: Caller, script: Script) -> None:
    """A response whose item is deleted continues to its end, and the item is not sent to the model again."""
    script.then("Once", script.go, " upon")
    await caller.send("response.create")
    item_id = (await caller.until("response.output_text.delta"))["item_id"]
    await caller.ask("conversation.item.delete", item_id=item_id)
    script.go.set()
    assert (await caller.until("response.done"))["response"]["status"] == "completed"
    await caller.respond()
    assert "Once" not in str(script.requests[1].messages)


# response.create and response.cancel


async def test_second_response_is_refused(caller: Caller, script: Script) -> None:
    """A second response is refused while one is in progress, and accepted after it."""
    script.then("Once", script.go)
    running = (await caller.ask("response.create"))["response"]["id"]
    error = await caller.error("response.create", event_id="mine")
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "mine")
    assert f"in progress: {running}. Wait until" in error["message"]
    script.go.set()
    assert (await caller.until("response.done"))["response"]["status"] == "completed"
    assert (await caller.respond())["status"] == "completed"


async def test_response_beside_the_conversation(caller: Caller, script: Script) -> None:
    """One that is of no conversation runs beside another, and leaves nothing behind."""
    script.then("Once", script.go).then("Aside.")
    await caller.add("Hi")
    await caller.send("response.create")
    await caller.until("response.output_text.delta")
    aside = await caller.respond(conversation="none", metadata={"topic": "x"})
    assert (aside["conversation_id"], aside["metadata"], aside["status"]) == (None, {"topic": "x"}, "completed")
    assert len(caller.grammar.running) == 1
    script.go.set()
    await caller.until("response.done")
    await caller.respond()
    assert "Aside." not in str(script.requests[2].messages)


async def test_items_outside_the_conversation_are_not_announced(caller: Caller, script: Script) -> None:
    """A response of no conversation has no conversation items."""
    await caller.respond(conversation="none")
    trace = [kind for kind in MESSAGE if not kind.startswith("conversation.")]
    assert caller.since("response.created") == ["response.created", *trace, "response.done"]


async def test_the_model_receives_only_the_input(caller: Caller, script: Script) -> None:
    """With `input` the model receives only these items, by reference or in full."""
    await caller.add("Not this.")
    await caller.add("This.", id="this")
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And this."}]}
    await caller.respond(conversation="none", input=[{"type": "item_reference", "id": "this"}, message])
    assert [m["content"] for m in script.requests[0].messages] == ["Be kind.", "This.", "And this."]


async def test_parameters_for_one_response(caller: Caller, script: Script) -> None:
    """The fields of a response.create are valid for that response only."""
    overrides = {"instructions": "Once.", "tools": [WEATHER], "max_output_tokens": 9}
    done = await caller.respond(**overrides, metadata={"a": "b"})
    assert (done["max_output_tokens"], done["metadata"]) == (9, {"a": "b"})
    assert (await caller.respond())["max_output_tokens"] == "inf"
    first, second = script.requests
    assert (first.messages[0]["content"], len(first.tools), first.options) == (
        "Be kind.\n\nOnce.",
        1,
        {"max_tokens": 9},
    )
    assert (second.messages[0]["content"], len(second.tools), second.options) == ("Be kind.", 0, {})


async def test_parameters_of_a_beta_client(client: Client, script: Script) -> None:
    """In the beta dialect a response is requested and described with the beta names."""
    async with calling(client, "beta") as caller:
        await caller.update(voice="x", output_audio_format="g711_ulaw")
        done = await caller.respond(modalities=["text"], max_response_output_tokens=9, temperature=0.5)
    assert (done["modalities"], done["voice"], done["output_audio_format"]) == (["text"], "x", "g711_ulaw")
    assert script.requests[0].options == {"max_tokens": 9, "temperature": 0.5}


async def test_too_many_asides(caller: Caller, script: Script) -> None:
    """The number of concurrent responses out of band is limited."""
    for _ in range(8):
        script.then(script.go)
        await caller.send("response.create", response={"conversation": "none"})
    error = await caller.error("response.create", response={"conversation": "none"})
    assert error["code"] == "rate_limit_exceeded"
    assert "response.create" in error["message"]


async def test_cancel_by_id(caller: Caller, script: Script) -> None:
    """A cancel with an id cancels that response, of the conversation or not, and no other."""
    script.then(script.go).then(script.go)
    main = (await caller.ask("response.create"))["response"]["id"]
    aside = (await caller.ask("response.create", response={"conversation": "none"}))["response"]["id"]
    await caller.send("response.cancel", response_id=aside)
    assert (await caller.until("response.done"))["response"]["id"] == aside
    assert list(caller.grammar.running) == [main]


async def test_cancel_without_id_means_the_conversation(caller: Caller, script: Script) -> None:
    """Without an id a response of no conversation is left alone."""
    script.then(script.go)
    await caller.ask("response.create", response={"conversation": "none"})
    assert (await caller.error("response.cancel"))["code"] == "response_cancel_not_active"
    assert len(caller.grammar.running) == 1


async def test_cancel_after_the_end(caller: Caller) -> None:
    """A response that is done cannot be cancelled any more."""
    done = await caller.respond()
    for fields in ({}, {"response_id": done["id"]}, {"response_id": "resp_nope"}):
        error = await caller.error("response.cancel", **fields)
        assert error["code"] == "response_cancel_not_active"
        assert error["message"] == "Cancellation failed: no active response found"


async def test_cancel_twice(caller: Caller, script: Script) -> None:
    """A second cancel has no effect."""
    script.then("Once", script.go)
    await caller.send("response.create")
    await caller.until("response.output_text.delta")
    await caller.send("response.cancel")
    await caller.send("response.cancel")
    await caller.until("response.done")
    assert (await caller.respond())["status"] == "completed"


# What is refused


def message(**fields: object) -> Event:
    """A user's message, changed."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}], **fields}


def item(**fields: object) -> Event:
    """The event that creates a user's message, changed."""
    return {"type": "conversation.item.create", "item": message(**fields)}


def session(**fields: object) -> Event:
    """An update of the session."""
    return {"type": "session.update", "session": fields}


def response(**fields: object) -> Event:
    """Return a response.create."""
    return {"type": "response.create", "response": fields}


def audio(**fields: object) -> Event:
    """Return an update of the input audio."""
    return session(audio={"input": fields})


MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"
SILENCE = base64.b64encode(bytes(4_798)).decode()

REFUSED: list[tuple[Event, str, str | None]] = [
    ({"type": "nope"}, VALUE, "type"),
    ({"type": "session.update"}, MISSING, "session"),
    ({"type": "session.update", "session": []}, TYPE, "session"),
    (session(type="transcription"), VALUE, "session.type"),
    (session(model=5), TYPE, "session.model"),
    (session(output_modalities="text"), TYPE, "session.output_modalities"),
    (session(output_modalities=["video"]), VALUE, "session.output_modalities[0]"),
    (session(modalities=["video"]), VALUE, "session.modalities[0]"),
    (session(output_modalities=[]), VALUE, "session.output_modalities"),
    (session(instructions={"type": "constant"}), TYPE, "session.instructions"),
    (session(tools={}), TYPE, "session.tools"),
    (session(tools=[{"type": "mcp", "server_label": "x"}]), VALUE, "session.tools[0].type"),
    (session(tools=[{"type": "function"}]), MISSING, "session.tools[0].name"),
    (session(tools=[WEATHER | {"parameters": 5}]), TYPE, "session.tools[0].parameters"),
    (session(tool_choice="x"), VALUE, "session.tool_choice"),
    (session(tool_choice=5), TYPE, "session.tool_choice"),
    (session(tool_choice={"type": "function"}), VALUE, "session.tool_choice"),
    (session(max_output_tokens=0), VALUE, "session.max_output_tokens"),
    (session(max_output_tokens=4097), VALUE, "session.max_output_tokens"),
    (session(max_output_tokens="many"), VALUE, "session.max_output_tokens"),
    (session(max_output_tokens=1.5), TYPE, "session.max_output_tokens"),
    (session(max_output_tokens=True), TYPE, "session.max_output_tokens"),
    (session(max_response_output_tokens=0), VALUE, "session.max_response_output_tokens"),
    (session(temperature=3), VALUE, "session.temperature"),
    (session(audio=5), TYPE, "session.audio"),
    (audio(format={"type": "audio/opus"}), VALUE, "session.audio.input.format.type"),
    (audio(format={"type": "audio/pcm", "rate": 16000}), VALUE, "session.audio.input.format.rate"),
    (session(input_audio_format="opus"), VALUE, "session.input_audio_format.type"),
    (audio(transcription={"model": 5}), TYPE, "session.audio.input.transcription.model"),
    (audio(noise_reduction={"type": "x"}), VALUE, "session.audio.input.noise_reduction.type"),
    (audio(turn_detection={"type": "x"}), VALUE, "session.audio.input.turn_detection.type"),
    (session(turn_detection="x"), TYPE, "session.turn_detection"),
    (session(audio={"output": {"voice": 5}}), TYPE, "session.audio.output.voice"),
    (session(audio={"output": {"speed": 9}}), VALUE, "session.audio.output.speed"),
    ({"type": "conversation.item.create"}, MISSING, "item"),
    ({"type": "conversation.item.create", "item": "x"}, TYPE, "item"),
    ({"type": "conversation.item.create", "item": {}}, MISSING, "item.type"),
    (item(type="item_reference"), VALUE, "item.type"),
    (item(role="tool"), VALUE, "item.role"),
    (item(content="x"), TYPE, "item.content"),
    (item(content=[{"text": "x"}]), MISSING, "item.content[0].type"),
    (item(content=[{"type": "video"}]), VALUE, "item.content[0].type"),
    (item(content=[{"type": "input_text"}]), MISSING, "item.content[0].text"),
    (item(content=[{"type": "input_text", "text": None}]), TYPE, "item.content[0].text"),
    (item(id=""), VALUE, "item.id"),
    (item(id="known"), "item_create_duplicate_item_id", "item.id"),
    (item() | {"previous_item_id": "nope"}, VALUE, "previous_item_id"),
    (item() | {"previous_item_id": 5}, TYPE, "previous_item_id"),
    (item(type="function_call"), MISSING, "item.call_id"),
    (item(type="function_call_output", call_id="nope", output=""), VALUE, "item.call_id"),
    (item(type="function_call_output", call_id="nope", output={}), TYPE, "item.output"),
    ({"type": "conversation.item.retrieve"}, MISSING, "item_id"),
    ({"type": "conversation.item.retrieve", "item_id": "nope"}, "item_retrieve_invalid_item_id", "item_id"),
    ({"type": "conversation.item.delete"}, MISSING, "item_id"),
    ({"type": "conversation.item.delete", "item_id": "nope"}, "item_delete_invalid_item_id", "item_id"),
    ({"type": "conversation.item.truncate", "item_id": "known"}, MISSING, "content_index"),
    (
        {"type": "conversation.item.truncate", "item_id": "nope", "content_index": 0, "audio_end_ms": 0},
        "item_truncate_invalid_item_id",
        "item_id",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "known", "content_index": 0, "audio_end_ms": 0},
        "unsupported_content_type",
        "item_id",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "known", "content_index": 0, "audio_end_ms": -1},
        VALUE,
        "audio_end_ms",
    ),
    ({"type": "response.create", "response": 5}, TYPE, "response"),
    (response(conversation="x"), VALUE, "response.conversation"),
    (response(metadata=5), TYPE, "response.metadata"),
    (response(metadata={"a": 5}), VALUE, "response.metadata"),
    (response(metadata={str(n): "" for n in range(17)}), VALUE, "response.metadata"),
    (response(tools=[{"type": "mcp"}]), VALUE, "response.tools[0].type"),
    (response(max_output_tokens=0), VALUE, "response.max_output_tokens"),
    (response(input=[message(role="x")]), VALUE, "response.input[0].role"),
    (response(input=[{"type": "item_reference"}]), MISSING, "response.input[0].id"),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": "response.cancel", "response_id": 5}, TYPE, "response_id"),
    ({"type": "input_audio_buffer.append"}, MISSING, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "§"}, VALUE, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "abc"}, VALUE, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "AA!AA"}, VALUE, "audio"),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
]


@pytest.mark.parametrize(("event", "code", "param"), REFUSED)
async def test_refused(client: Client, caller: Caller, event: Event, code: str, param: str | None) -> None:
    """A refused event has one error with its id, changes nothing, and the session continues."""
    await caller.add(id="known")
    before = await caller.update()
    error = await caller.ask(event["type"], event_id="mine", **{k: v for k, v in event.items() if k != "type"})
    assert error["type"] == "error"
    assert (error["error"]["type"], error["error"]["event_id"]) == ("invalid_request_error", "mine")
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)
    assert (await caller.ask("session.update", session={}))["session"] == before
    (live,) = client.app[SESSIONS]._live.values()
    assert [one.id for one in live.conversation.history] == ["known"]


async def test_unknown_reference_is_refused(caller: Caller) -> None:
    """A reference to an unknown item is refused."""
    error = await caller.error("response.create", response={"input": [{"type": "item_reference", "id": "nope"}]})
    assert "nope" in error["message"]
    assert caller.grammar.running == {}


async def test_unknown_type_lists_the_known_ones(caller: Caller) -> None:
    """The error of an unknown event type lists the known ones."""
    error = await caller.error("nope")
    assert "Supported types are: session.update, conversation.item.create" in error["message"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"reasoning": {}, "parallel_tool_calls": True, "x": 1}, "x": 1},
        {"type": "conversation.item.create", "item": message(x=1, status="completed", object="realtime.item")},
        {"type": "response.create", "response": {"x": 1, "prompt": {"id": "p"}}, "x": 1},
        {"type": "response.create"},
        {"type": "response.create", "response": None},
    ],
)
async def test_unknown_fields_are_ignored(caller: Caller, event: Event) -> None:
    """Fields that came to the SDKs last month are no reason for an error."""
    await caller.send(**{"kind": event["type"], **{k: v for k, v in event.items() if k != "type"}})
    await caller.update()
    assert "error" not in {event["type"] for event in caller.events}


def anything(chance: Random) -> Event:
    """One of the things that a client may send at any time, sensible or not."""
    some_id = f"item_{chance.randrange(9)}"
    result = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
    sensible: list[Event] = [
        response(),
        response(conversation="none", input=[message()]),
        {"type": "response.cancel"},
        item(id=some_id),
        item() | {"previous_item_id": some_id},
        {"type": "conversation.item.create", "item": result},
        {"type": "conversation.item.delete", "item_id": some_id},
        session(tools=chance.choice([[], [WEATHER]])),
    ]
    return chance.choice(sensible) if chance.random() < 0.95 else chance.choice(REFUSED)[0]


@DIALECTS
@pytest.mark.parametrize("seed", range(5))
async def test_any_order(client: Client, script: Script, dialect: Dialect, seed: int) -> None:
    """In any order of requests the events obey the grammar, and each response ends."""
    chance = Random(seed)
    steps: list[Step] = [
        "Once",
        " upon",
        script.go,
        call("get_weather", "{}"),
        ModelError("truncated", "x"),
        end("length"),
    ]
    for _ in range(60):
        script.then(*chance.choices(steps, k=chance.randrange(1, 9)))
    async with calling(client, dialect) as caller:
        for _ in range(100):
            await caller.ws.send_json(anything(chance))
            if chance.random() < 0.7:
                await caller.next()
            if chance.random() < 0.7:
                script.go.set()
                script.go.clear()
        script.go.set()
        await caller.send("input_audio_buffer.clear")
        is_last = False
        while not is_last or caller.grammar.running:
            is_last |= (await caller.next())["type"] == "input_audio_buffer.cleared"
        kinds = Counter(event["type"] for event in caller.events)
    assert kinds["response.created"] == kinds["response.done"] > 0


# Audio that nobody hears


async def test_audio_is_taken_without_a_word(caller: Caller) -> None:
    """Appended audio has no response, and a commit has one error: this server takes no audio."""
    await caller.send("input_audio_buffer.append", audio=SILENCE)
    assert (await caller.error("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
    for _ in range(50):
        await caller.send("input_audio_buffer.append", audio=base64.b64encode(bytes(4_800)).decode())
    assert (await caller.error("input_audio_buffer.commit"))["code"] == "audio_not_supported"
    assert [event["type"] for event in caller.events] == ["session.created", "error", "error"]


async def test_empty_commit_has_the_message_of_openai(caller: Caller) -> None:
    """The message is OpenAI's."""
    await caller.send("input_audio_buffer.append", audio=base64.b64encode(bytes(2_400)).decode())
    error = await caller.error("input_audio_buffer.commit")
    assert "Expected at least 100ms of audio, but buffer only has 50.00ms of audio." in error["message"]


async def test_refused_commit_keeps_the_audio(caller: Caller) -> None:
    """A refused commit keeps the audio for the next one."""
    half = base64.b64encode(bytes(2_400)).decode()
    for code in ("input_audio_buffer_commit_empty", "audio_not_supported"):
        await caller.send("input_audio_buffer.append", audio=half)
        assert (await caller.error("input_audio_buffer.commit"))["code"] == code


async def test_audio_can_be_cleared(caller: Caller) -> None:
    """A clear is acknowledged, and leaves no audio to commit."""
    await caller.send("input_audio_buffer.append", audio=base64.b64encode(bytes(9_600)).decode())
    assert (await caller.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"
    assert (await caller.error("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


async def test_clear_of_the_output_is_ignored(caller: Caller) -> None:
    """WebRTC clients send it by habit."""
    await caller.send("output_audio_buffer.clear")
    assert (await caller.ask("session.update", session={}))["type"] == "session.updated"


# Much, slow, sudden


async def test_long_message(caller: Caller, script: Script) -> None:
    """A message of 10 MB is read: an image may be that long. It is not sent back: few clients take such an event."""
    url = "data:image/png;base64," + "A" * (10 << 20)
    created = await caller.create(message(content=[{"type": "input_image", "image_url": url}]))
    assert created["item"]["content"][0]["image_url"] == "data:image/png;base64,"


async def test_many_events_in_one_packet(caller: Caller) -> None:
    """A client that sends many events at once, and then reads, receives all responses."""
    frames = []
    for number in range(300):
        text = json.dumps({"type": "session.update", "session": {"instructions": str(number)}}).encode()
        frames.append(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
    transport(caller).write(b"".join(frames))
    for number in range(300):
        assert (await caller.next())["session"]["instructions"] == str(number)


async def test_slow_client_gets_every_delta(client: Client, script: Script) -> None:
    """The model waits for a client that does not read, and nothing is lost."""
    words = [f" {number}{'x' * 1_000}" for number in range(5_000)]
    script.then(*words)
    async with calling(client) as caller:
        transport(caller).pause_reading()
        await caller.send("response.create")
        (live,) = client.app[SESSIONS]._live.values()
        async with asyncio.timeout(LIMIT):
            while not live.outbox.is_crowded:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert (script.ended, live.closing.reason) == (0, None)
        transport(caller).resume_reading()
        done = (await caller.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["text"] == "".join(words)


async def test_slow_client_of_many_responses(client: Client, script: Script) -> None:
    """Eight concurrent responses wait for a client that does not read, and none of them ends its session."""
    words = [f" {number}{'x' * 20_000}" for number in range(60)]
    for _ in range(8):
        script.then(*words)
    async with calling(client) as caller:
        (live,) = client.app[SESSIONS]._live.values()
        transport(caller).pause_reading()
        for _ in range(8):
            await caller.send("response.create", response={"conversation": "none"})
        async with asyncio.timeout(LIMIT):
            while not live.outbox.is_crowded:
                await asyncio.sleep(0.01)
        transport(caller).resume_reading()
        outcomes = [(await caller.until("response.done"))["response"]["status"] for _ in range(8)]
    assert outcomes == ["completed"] * 8


async def test_leaving_client_stops_the_model(client: Client, script: Script) -> None:
    """The model of a client that left is stopped, and the response counted as cancelled."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await caller.send("response.create")
        await caller.until("response.output_text.delta")
        transport(caller).abort()
        await asyncio.wait_for(script.stopped(), 60)
    labels = {"front_door": "realtime", "outcome": "cancelled"}
    assert client.app[METRICS].registry.get_sample_value("charhost_turns_total", labels) == 1


async def test_reload_in_the_middle_of_a_turn(client: Client, script: Script) -> None:
    """A reload in the middle of a turn closes its text, fails the response with the reason, and sends the close
    message and 1012."""
    script.then("Once upon", script.go)
    async with calling(client) as caller:
        await caller.send("response.create")
        await caller.until("response.output_text.delta")
        await client.post("/v1/characters/reload", json={})
        assert await caller.end() == 1012
        *_, done, fatal = caller.events
        assert caller.since("response.created") == ["response.created", *MESSAGE, "response.done", "error"]
    assert done["response"]["status_details"]["error"]["code"] == "characters_reloaded"
    assert (done["response"]["status"], done["response"]["output"][0]["status"]) == ("failed", "incomplete")
    assert (fatal["error"]["type"], fatal["error"]["code"]) == ("fatal", "characters_reloaded")


async def test_nothing_is_processed_after_the_close_message(client: Client, script: Script) -> None:
    """An event that arrives after the close message is not processed."""
    async with calling(client) as caller:
        (live,) = client.app[SESSIONS]._live.values()
        transport(caller).pause_reading()
        async with asyncio.timeout(LIMIT):
            while not live.outbox.is_crowded:
                await caller.send("session.update", session={"instructions": "x" * 50_000})
                await asyncio.sleep(0.001)
        live.closing.close(CloseMessage(4000, "Bye", "test"), grace=LIMIT)
        await caller.send("response.create")
        await asyncio.sleep(0.1)
        transport(caller).resume_reading()
        assert await caller.end() == 4000
    assert script.requests == []


async def test_shutdown_in_the_middle_of_a_turn(client: Client, script: Script) -> None:
    """At a shutdown the response ends, and then the client is closed with 1001."""
    script.then("Once upon", script.go)
    async with calling(client) as caller:
        await caller.send("response.create")
        await caller.until("response.output_text.delta")
        closing = asyncio.create_task(client.server.close())
        assert await caller.end() == 1001
        await asyncio.wait_for(closing, LIMIT)
    assert caller.events[-1]["response"]["status_details"]["error"]["code"] == "server_shutdown"


async def test_kept_session_ends_its_turn_with_the_old_character(client: Client, script: Script, write: Write) -> None:
    """With `close_affected` a session with an equal character continues in the middle of its turn."""
    script.then("Once", script.go, " upon")
    async with calling(client) as caller:
        await caller.send("response.create")
        await caller.until("response.output_text.delta")
        write("bob.py", character("Bob"))
        await client.post("/v1/characters/reload", json={"sessions": "close_affected"})
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


# One session and the others


async def test_failure_of_one_is_not_felt_by_another(client: Client, script: Script) -> None:
    """A failing model of one client does not affect another one."""
    script.then("Once", script.go, " upon.").then(RuntimeError("x"))
    async with calling(client) as one, calling(client) as two:
        await one.send("response.create")
        await one.until("response.output_text.delta")
        assert (await two.respond())["status"] == "failed"
        script.go.set()
        done = (await one.until("response.done"))["response"]
    assert (done["status"], done["output"][0]["content"][0]["text"]) == ("completed", "Once upon.")


async def test_fault_of_charhost_ends_one_session(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error while events are sent closes that session with 1011 and is logged; another one continues."""
    send = ResponseEvents.send
    async with calling(client) as one, calling(client) as two:
        monkeypatch.setattr(ResponseEvents, "send", lambda *_: 1 / 0)
        await one.send("response.create")
        assert await one.end() == 1011
        monkeypatch.setattr(ResponseEvents, "send", send)
        assert (await two.respond())["status"] == "completed"
    assert (one.events[-1]["error"]["type"], one.events[-1]["error"]["code"]) == ("server_error", "internal_error")
    assert "ZeroDivisionError" in caplog.text


async def test_conversations_do_not_meet(client: Client, script: Script) -> None:
    """The text of one client is not sent to the model of another one."""
    async with calling(client) as one, calling(client) as two:
        await one.add("Only mine.", id="mine")
        assert (await two.error("conversation.item.retrieve", item_id="mine"))["code"]
        await two.respond()
    assert "Only mine." not in str(script.requests[0].messages)


async def test_no_more_than_so_many(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> None:
    """Beyond the limit a handshake is refused with 503 and when to come back; a place that is left is free again."""
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, max_sessions=1)))
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    async with calling(client):
        refused = await client.get(REALTIME, headers=headers)
        error = (await refused.json())["error"]
        assert (refused.status, refused.headers["Retry-After"], error["code"]) == (503, "5", "too_many_sessions")
    async with asyncio.timeout(LIMIT):
        while len(client.app[SESSIONS]):
            await asyncio.sleep(0)
    async with calling(client) as caller:
        await caller.update()
