"""A turn: one response as a stream of events."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charhost.conversation.excerpt import Cut
from charhost.conversation.history import History
from charhost.conversation.items import FunctionCall, FunctionOutput, Image, Item, Message, Text
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import (
    ArgumentsDelta,
    ItemAdded,
    ItemDone,
    RequestReady,
    TextDelta,
    TurnEnded,
    TurnEvent,
    TurnFailure,
)
from charhost.conversation.turn_input import TurnOptions
from charhost.jsontext import encoded
from charhost.llm.model import CallDelta, Delta, ErrorType, FinishReason, ModelError, ModelRequest, Usage
from tests.scripted import (
    LIMIT,
    Kind,
    ScriptedModel,
    Step,
    call,
    calls,
    end,
    end_of,
    events_of,
    make_character,
    make_conversation,
    make_conversations,
    message,
    sample,
    tool,
    words,
)

ROLL = tool("roll")
DOOR = tool("door")


def roles(model: ScriptedModel) -> list[str]:
    return [spoken["role"] for spoken in model.messages]


def contents(model: ScriptedModel) -> list[Any]:
    return [spoken["content"] for spoken in model.messages]


def kept(history: History) -> list[tuple[str, str]]:
    """Return the items of a history in short."""
    return [(type(item).__name__, item.status) for item in history]


# Texts and events


async def test_answer_is_a_stream_of_events() -> None:
    """The model's text is sent as it arrives, and the end has the whole."""
    conversation = make_conversation(ScriptedModel(["Hel", "lo", end()]))
    events = await events_of(turn := conversation.respond())
    assert [type(event).__name__ for event in events] == [
        "RequestReady",
        "ItemAdded",
        "TextDelta",
        "TextDelta",
        "ItemDone",
        "TurnEnded",
    ]
    assert isinstance(last := events[-1], TurnEnded)
    assert (last.outcome, last.reason, last.failure, last.items) == (
        "completed",
        None,
        None,
        tuple(conversation.history)[1:],
    )
    assert turn.ended is last


async def test_words_are_sent_before_the_model_is_done() -> None:
    """Text is sent before the model has finished, also with tools."""
    pause = asyncio.Event()
    turn = make_conversation(ScriptedModel(["Hel", pause, "lo"]), make_character(tools=[ROLL])).respond()
    async with aclosing(turn.events()) as events:
        received = [await anext(events), await anext(events), await anext(events)]
        assert words(received) == "Hel"
        pause.set()
        assert words([event async for event in events]) == "lo"


async def test_answer_without_words() -> None:
    """An empty response of the model is complete."""
    last = await end_of(make_conversation(ScriptedModel([end()])).respond())
    assert (last.outcome, last.items) == ("completed", ())


async def test_ids_of_turns_differ() -> None:
    """Each turn has its id."""
    conversation = make_conversation()
    assert conversation.respond().id != conversation.respond().id
    assert conversation.respond().id.startswith("resp_")


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_answer_that_the_model_cut(finish: FinishReason, reason: str) -> None:
    """A response that reached a limit is incomplete, and so is its item."""
    conversation = make_conversation(ScriptedModel(["Once upon", end(finish), Delta(usage=Usage(3, 2))]))
    last = await end_of(conversation.respond())
    assert (last.outcome, last.reason, last.items[0].status) == ("incomplete", reason, "incomplete")
    assert kept(conversation.history)[1:] == [("Message", "incomplete")]


# What the model is sent


async def test_one_system_message_at_the_front() -> None:
    """The first message has the character's prompt, the client's instructions and the system messages at the front."""
    earlier = [message("Rule one.", "system"), message("Rule two.", "system"), message("Hi")]
    model = ScriptedModel()
    await events_of(make_conversation(model, None, *earlier).respond(TurnOptions(instructions="Be brief.")))
    assert model.messages == [
        {"role": "system", "content": "Be kind.\n\nBe brief.\n\nRule one.\n\nRule two."},
        {"role": "user", "content": "Hi"},
    ]


async def test_later_system_message_stays() -> None:
    """A system message after another message is sent in its place."""
    model = ScriptedModel()
    await events_of(
        make_conversation(model, None, message("Hi"), message("Be brief.", "system"), message("Well?")).respond()
    )
    assert contents(model) == ["Be kind.", "Hi", "Be brief.", "Well?"]


async def test_empty_prompt_is_no_paragraph() -> None:
    """Empty parts are left out of the system message."""

    class Silent(Kind):
        def make_system_prompt(self) -> str:
            return ""

    model = ScriptedModel()
    await events_of(make_conversation(model, make_character(Silent)).respond(TurnOptions(instructions="Be brief.")))
    assert contents(model)[0] == "Be brief."


@pytest.mark.parametrize("earlier", [[message("Rule.", "system")], [message("Welcome.", "assistant")]])
async def test_conversation_without_a_message_of_the_user(earlier: list[Item]) -> None:
    """Servers that refuse a request without a user's message get one, at the front; the history does not."""
    model = ScriptedModel()
    conversation = make_conversation(model, None, *earlier)
    await events_of(conversation.respond())
    assert model.messages[1] == {"role": "user", "content": "Hello."}
    assert len(conversation.history) == 2


async def test_options_go_through() -> None:
    """The client's options are passed to the model."""
    model = ScriptedModel()
    await events_of(make_conversation(model).respond(TurnOptions(options={"temperature": 0.5})))
    assert model.requests[0].options == {"temperature": 0.5}


@pytest.mark.parametrize("choice", [None, "auto", "none", "required", {"type": "function", "function": {"name": "x"}}])
async def test_choice_of_a_tool_goes_through(choice: Any) -> None:
    """The client decides whether the model has to call a tool."""
    model = ScriptedModel()
    await events_of(make_conversation(model).respond(TurnOptions(tools=[DOOR], tool_choice=choice)))
    assert (model.requests[0].tools, model.requests[0].tool_choice) == ([DOOR], choice)


async def test_choice_between_no_tools_is_not_sent() -> None:
    """Servers refuse a tool_choice without tools."""
    model = ScriptedModel()
    await events_of(make_conversation(model).respond(TurnOptions(tool_choice="auto")))
    assert (list(model.requests[0].tools), model.requests[0].tool_choice) == ([], None)


async def test_an_item_added_during_a_turn_is_for_the_next() -> None:
    """An item that is added after the start of a turn is not sent in it."""
    model = ScriptedModel()
    conversation = make_conversation(model)
    turn = conversation.respond()
    conversation.history.append(message("And now?"))
    await events_of(turn)
    assert contents(model) == ["Be kind.", "Hello?"]
    await events_of(conversation.respond())
    assert contents(model) == ["Be kind.", "Hello?", "And now?", "Hi."]


async def test_long_conversation_is_cut_at_the_front() -> None:
    """A model is sent as many tokens as the setting allows, at four characters each, oldest turns first."""
    model = ScriptedModel()
    earlier = [
        message("x" * 20),
        message("old", "assistant"),
        message("y" * 20),
        message("new", "assistant"),
        message("?"),
    ]
    await events_of(make_conversation(model, None, *earlier, history_tokens=6).respond())
    assert contents(model) == ["Be kind.", "y" * 20, "new", "?"]
    assert len(make_conversation(model, None, *earlier).history) == 5


async def test_length_of_tokens_is_learnt_from_the_model() -> None:
    """If the model's usage shows shorter tokens, less is sent the next time."""
    usage = Usage(input_tokens=len("Be kind." + "x" * 20 + "old" + "?"))
    model = ScriptedModel(["Yes.", end(usage=usage)])
    conversation = make_conversation(
        model, None, message("x" * 20), message("old", "assistant"), message("?"), history_tokens=8
    )
    await events_of(conversation.respond())
    assert contents(model) == ["Be kind.", "x" * 20, "old", "?"]
    await events_of(conversation.respond())
    assert contents(model)[1:] == ["?", "Yes."]


async def test_image_is_sent() -> None:
    """An image is sent to the model unchanged."""
    model = ScriptedModel()
    await events_of(
        make_conversation(model, None, Message(role="user", parts=(Text("Look"), Image("data:x")))).respond()
    )
    assert [part["type"] for part in model.messages[1]["content"]] == ["text", "image_url"]


# Greeting


async def test_greeting_opens_the_conversation() -> None:
    """In an empty conversation the response is the greeting, without a request to the model."""
    model = ScriptedModel()
    conversation = make_conversation(model, make_character(greetings=["Ahoy!"]), message("Rule.", "system"))
    events = await events_of(conversation.respond(TurnOptions(instructions="Be brief.")))
    assert (words(events), model.requests) == ("Ahoy!", [])
    assert isinstance(last := events[-1], TurnEnded)
    assert (last.outcome, last.usage, last.items[0].status) == ("completed", Usage(), "completed")


async def test_greeting_is_one_of_several() -> None:
    """Of several greetings any may be chosen."""
    greetings = {"Ahoy!", "Hello!", "Welcome!"}
    shared, character = make_conversations(), make_character(greetings=sorted(greetings))
    assert {words(await events_of(shared.open(character, "test").respond())) for _ in range(100)} == greetings


async def test_greeting_without_a_prompt() -> None:
    """A greeting needs no prompt, so none is made."""

    class Failing(Kind):
        def make_system_prompt(self) -> str:
            raise ValueError

    turn = make_conversation(None, make_character(Failing, greetings=["Ahoy!"]), message("Rule.", "system")).respond()
    assert (await end_of(turn)).outcome == "completed"


@pytest.mark.parametrize(
    "earlier",
    [message("Hi"), message("Hi", "assistant"), FunctionOutput(call_id="1", output="4")],
    ids=["user", "assistant", "output"],
)
async def test_no_greeting_after_a_message(earlier: Item) -> None:
    """In a conversation with messages the model is requested."""
    model = ScriptedModel(["Yes?"])
    assert (
        words(await events_of(make_conversation(model, make_character(greetings=["Ahoy!"]), earlier).respond()))
        == "Yes?"
    )


async def test_greeting_is_remembered() -> None:
    """The greeting is sent to the model in the next turn."""
    model = ScriptedModel()
    conversation = make_conversation(model, make_character(greetings=["Ahoy!"]), message("Rule.", "system"))
    await events_of(conversation.respond())
    conversation.history.append(message("Hi"))
    await events_of(conversation.respond())
    assert contents(model)[-2:] == ["Ahoy!", "Hi"]


async def test_user_speaks_first() -> None:
    """A greeting is sent to the model after a user message: many templates support no other beginning."""
    model = ScriptedModel()
    await events_of(make_conversation(model, None, message("Ahoy!", "assistant"), message("Hi")).respond())
    assert contents(model)[1:] == ["Hello.", "Ahoy!", "Hi"]


# Prompts that fail


class Broken(Kind):
    outcomes: Iterator[Any]

    def make_system_prompt(self) -> Any:
        outcome = next(Broken.outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (ValueError(f"see {__file__}"), "ValueError"),
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (None, "TypeError"),
        (b"Be kind.", "TypeError"),
        ("x" * 2_000_000, "ValueError"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_prompt_that_fails(outcome: Any, found: str, caplog: pytest.LogCaptureFixture) -> None:
    """The turn fails with the kind of the error, and no path; the log has the place; the next turn tries again."""
    Broken.outcomes = iter([outcome, "Be kind."])
    conversation = make_conversation(ScriptedModel(["Hi."]), make_character(Broken))
    last = await end_of(conversation.respond())
    sentence = f"The character 'Ada' could not make its prompt ({found})."
    assert (last.outcome, last.items, last.failure) == ("failed", (), TurnFailure("prompt_failed", sentence))
    assert "test_turn.py" in caplog.text
    assert words(await events_of(conversation.respond())) == "Hi."


async def test_prompt_that_hangs() -> None:
    """A prompt over its deadline fails the turn, without a request to the model."""

    class Looping(Kind):
        def make_system_prompt(self) -> str:
            while True:
                time.sleep(0.001)

    model = ScriptedModel()
    last = await end_of(make_conversation(model, make_character(Looping), prompt_deadline=0.2).respond())
    assert last.failure == TurnFailure("prompt_failed", "The character 'Ada' could not make its prompt (LoadTimeout).")
    assert model.requests == []


# Models that fail


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        ("unreachable", "upstream_error"),
        ("timeout", "upstream_error"),
        ("unauthorized", "upstream_error"),
        ("busy", "rate_limit_exceeded"),
        ("rate_limited", "rate_limit_exceeded"),
    ],
)
async def test_model_that_fails(cause: ErrorType, code: str) -> None:
    """A model's failure has a code, its cause and its words, and when to come back; it is counted by its cause."""
    conversation = make_conversation(ScriptedModel([ModelError(cause, "No answer.", 2.5)], ["Hi."]))
    last = await end_of(conversation.respond())
    assert (last.outcome, last.failure) == ("failed", TurnFailure(code, "No answer.", cause, 2.5))
    assert sample(conversation, "upstream_errors_total", error_type=cause) == 1
    assert sample(conversation, "turns_total", front_door="test", outcome="failed") == 1
    assert words(await events_of(conversation.respond())) == "Hi."


async def test_model_that_fails_in_the_middle() -> None:
    """The text so far stays, as incomplete, and is sent before the end."""
    conversation = make_conversation(ScriptedModel(["Hel", ModelError("truncated", "It broke off.")]))
    events = await events_of(conversation.respond())
    assert [type(event).__name__ for event in events][-2:] == ["ItemDone", "TurnEnded"]
    assert kept(conversation.history)[1:] == [("Message", "incomplete")]


async def test_model_that_breaks(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged with its traceback, and sent without."""
    last = await end_of(make_conversation(ScriptedModel(["Hel", RuntimeError("s3cret")])).respond())
    assert last.failure == TurnFailure("internal_error", "Unexpected error; the server's log has the details.")
    assert "a turn of character Ada failed unexpectedly" in caplog.text
    assert "RuntimeError: s3cret" in caplog.text


async def test_model_that_mixes_up_its_calls() -> None:
    """Arguments without a call end the turn as the model's failure."""
    mixed_up = Delta(calls=(CallDelta(3, None, None, "{}"),))
    last = await end_of(make_conversation(ScriptedModel([mixed_up])).respond())
    assert last.failure == TurnFailure("upstream_error", "The language model mixed up its tool calls.", "malformed")


# Tools of the character


async def test_character_answers_its_own_call() -> None:
    """A call of the character's tool is run, its result is sent to the model, and clients receive only text."""
    model = ScriptedModel([call("roll", '{"n": 2}'), end("tool_calls")], ["A two."])
    events = await events_of(make_conversation(model, make_character(tools=[ROLL])).respond())
    assert (words(events), len(model.requests)) == ("A two.", 2)
    assert [type(event).__name__ for event in events[1:]] == ["ItemAdded", "TextDelta", "ItemDone", "TurnEnded"]
    called, result = model.messages[-2:]
    assert called["tool_calls"][0]["function"] == {"name": "roll", "arguments": '{"n": 2}'}
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "roll did [('n', 2)]"}


async def test_words_before_a_call_are_sent() -> None:
    """The text of a model before a call is sent, and shares the message of the call."""
    model = ScriptedModel(["Let me see. ", call("roll")], ["A two."])
    events = await events_of(make_conversation(model, make_character(tools=[ROLL])).respond())
    assert words(events) == "Let me see. A two."
    assert [event.index for event in events if isinstance(event, TextDelta)] == [0, 1]
    assert [(spoken["role"], spoken["content"]) for spoken in model.messages[2:3]] == [("assistant", "Let me see. ")]


async def test_calls_and_results_are_sent_again() -> None:
    """Calls and results of a turn are sent in the next one."""
    model = ScriptedModel([call("roll")], ["A two."])
    conversation = make_conversation(model, make_character(tools=[ROLL]))
    await events_of(conversation.respond())
    conversation.history.append(message("Again!"))
    await events_of(conversation.respond())
    assert roles(model) == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_several_rounds() -> None:
    """A model may call again after a result, and everything so far is sent with each request."""
    model = ScriptedModel([call("roll", call_id="a")], [call("roll", call_id="b")], ["Done."])
    assert words(await events_of(make_conversation(model, make_character(tools=[ROLL])).respond())) == "Done."
    assert roles(model) == ["system", "user", "assistant", "tool", "assistant", "tool"]


async def test_rounds_have_a_limit() -> None:
    """After the last round the model is requested without tools."""
    model = ScriptedModel([call("roll")], [call("roll")], ["Done."])
    turn = make_conversation(model, make_character(tools=[ROLL]), tool_rounds=2).respond(
        TurnOptions(tool_choice="auto")
    )
    assert words(await events_of(turn)) == "Done."
    assert [request.tool_choice for request in model.requests] == ["auto", "auto", "none"]


async def test_model_that_never_stops_calling() -> None:
    """A model that still calls in the last round is not requested again."""
    model = ScriptedModel([call("roll")])
    assert (
        await end_of(make_conversation(model, make_character(tools=[ROLL]), tool_rounds=2).respond())
    ).outcome == "completed"
    assert len(model.requests) == 3


async def test_calls_beyond_the_limit_are_not_run() -> None:
    """Calls after the last round are not run."""
    conversation = make_conversation(ScriptedModel([call("roll")]), make_character(tools=[ROLL]), tool_rounds=2)
    await events_of(conversation.respond())
    assert sample(conversation, "tool_calls_total") == 2


@pytest.mark.parametrize(("tool_choice", "later"), [("required", "auto"), ({"type": "function"}, "auto"), (None, None)])
async def test_a_required_call_is_required_once(tool_choice: Any, later: Any) -> None:
    """A call that was required has been made in the first round; else the model would call for ever."""
    model = ScriptedModel([call("roll")], ["Done."])
    await events_of(
        make_conversation(model, make_character(tools=[ROLL])).respond(TurnOptions(tool_choice=tool_choice))
    )
    assert [request.tool_choice for request in model.requests] == [tool_choice, later]


async def test_calls_of_one_message_run_at_the_same_time() -> None:
    """The calls of one message run concurrently, and their results are sent in their order."""
    barrier = threading.Barrier(2)

    class Meeting(Kind):
        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
            barrier.wait(LIMIT)
            return f"met {tool_input['n']}"

    model = ScriptedModel([call("roll", '{"n": 1}', "a"), call("roll", '{"n": 2}', "b", 1)], ["Done."])
    await events_of(make_conversation(model, make_character(Meeting, tools=[ROLL])).respond())
    assert [(spoken["tool_call_id"], spoken["content"]) for spoken in model.messages[-2:]] == [
        ("a", "met 1"),
        ("b", "met 2"),
    ]


async def test_error_of_a_tool_is_sent_to_the_model() -> None:
    """The error of a tool is sent to the model, and the turn continues."""

    class Clumsy(Kind):
        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
            raise ValueError("the dice fell off the table")

    model = ScriptedModel([call("roll")], ["Oh no."])
    conversation = make_conversation(model, make_character(Clumsy, tools=[ROLL]))
    assert (await end_of(conversation.respond())).outcome == "completed"
    assert model.messages[-1]["content"] == "Error: ValueError: the dice fell off the table"
    assert sample(conversation, "tool_errors_total", error_type="ValueError") == 1


async def test_tool_that_hangs() -> None:
    """A tool over its deadline is an error that is sent to the model."""

    class Looping(Kind):
        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
            while True:
                time.sleep(0.001)

    model = ScriptedModel([call("roll")], ["Oh no."])
    assert (
        words(
            await events_of(
                make_conversation(model, make_character(Looping, tools=[ROLL]), tool_deadline=0.2).respond()
            )
        )
        == "Oh no."
    )
    assert model.messages[-1]["content"] == "Error: the tool was not finished after 0.2 s"


async def test_unknown_tool() -> None:
    """The call of an unknown tool is an error that is sent to the model, not a call for the client."""
    model = ScriptedModel([call("fly")], ["Sorry."])
    events = await events_of(make_conversation(model).respond(TurnOptions(tools=[DOOR])))
    assert words(events) == "Sorry."
    assert model.messages[-1]["content"].startswith("Error: there is no tool 'fly'")


async def test_calls_of_an_answer_that_was_cut_are_not_run() -> None:
    """The calls of a response that reached a limit are not run."""
    conversation = make_conversation(ScriptedModel([call("roll"), end("length")]), make_character(tools=[ROLL]))
    last = await end_of(conversation.respond())
    assert (last.outcome, last.items) == ("incomplete", ())
    assert sample(conversation, "tool_calls_total") == 0
    assert len(conversation.history) == 1


async def test_calls_before_the_cut_are_not_run_either() -> None:
    """Complete calls of a response that reached a limit are not run either."""
    model = ScriptedModel([call("roll"), call("roll", '{"n"', "call_2", 1), end("length")])
    conversation = make_conversation(model, make_character(tools=[ROLL]))
    assert (await end_of(conversation.respond())).outcome == "incomplete"
    assert (sample(conversation, "tool_calls_total"), len(model.requests)) == (0, 1)


async def test_own_result_is_hidden() -> None:
    """Clients find neither the call nor its result among the items."""
    conversation = make_conversation(ScriptedModel([call("roll")], ["Done."]), make_character(tools=[ROLL]))
    await events_of(conversation.respond())
    assert [item.hidden for item in conversation.history] == [False, True, True, False]


# Tools of the client


async def test_client_answers_its_own_call() -> None:
    """A call of the client's tool is an item, and ends the turn."""
    model = ScriptedModel([call("door", '{"open": true}'), end("tool_calls")])
    last = await end_of(make_conversation(model).respond(TurnOptions(tools=[DOOR])))
    assert (last.outcome, calls(last), len(model.requests)) == ("completed", [("door", '{"open": true}')], 1)


async def test_result_of_the_client_is_sent() -> None:
    """After the client's result the next turn continues."""
    model = ScriptedModel([call("door")], ["It is open."])
    conversation = make_conversation(model)
    await events_of(conversation.respond(TurnOptions(tools=[DOOR])))
    conversation.history.append(FunctionOutput(call_id="call_1", output="open"))
    await events_of(conversation.respond(TurnOptions(tools=[DOOR])))
    assert (roles(model)[1:], contents(model)[-1]) == (["user", "assistant", "tool"], "open")


async def test_call_of_both_kinds() -> None:
    """Of a message that calls both, the own one is run and the client's handed on; then both are sent together."""
    model = ScriptedModel([call("roll", call_id="a"), call("door", call_id="b", index=1)], ["Done."])
    conversation = make_conversation(model, make_character(tools=[ROLL]))
    last = await end_of(conversation.respond(TurnOptions(tools=[DOOR])))
    assert (calls(last), len(model.requests)) == ([("door", "{}")], 1)
    conversation.history.append(FunctionOutput(call_id="b", output="open"))
    await events_of(conversation.respond(TurnOptions(tools=[DOOR])))
    assert [spoken.get("tool_call_id") for spoken in model.messages[2:]] == [None, "a", "b"]
    assert contents(model)[-2:] == ["roll did []", "open"]


async def test_client_has_a_tool_of_the_same_name() -> None:
    """Of two tools with one name the character's is offered and run."""
    model = ScriptedModel([call("roll")], ["Done."])
    last = await end_of(
        make_conversation(model, make_character(tools=[ROLL])).respond(TurnOptions(tools=[tool("roll", n={}), DOOR]))
    )
    assert calls(last) == []
    assert model.requests[0].tools == [ROLL, DOOR]
    assert model.messages[-1]["content"] == "roll did []"


# Cancel and fail


async def paused(turn: Turn, model: ScriptedModel) -> tuple[asyncio.Task[list[TurnEvent]], list[TurnEvent]]:
    """Read a turn in a task of its own until the model pauses; the task checks that nothing is left of a cancel."""
    received: list[TurnEvent] = []

    async def read() -> list[TurnEvent]:
        async with aclosing(turn.events()) as events:
            async for event in events:
                received.append(event)  # noqa: PERF401 (it is looked at while it grows)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)
        return received

    reading = asyncio.create_task(read())
    async with asyncio.timeout(LIMIT):
        await model.pausing.wait()
    return reading, received


async def finished(reading: asyncio.Task[list[TurnEvent]]) -> TurnEnded:
    """Wait for the end of a turn."""
    last = (await asyncio.wait_for(reading, LIMIT))[-1]
    assert isinstance(last, TurnEnded)
    return last


async def test_cancel_before_the_first_words() -> None:
    """A turn that is cancelled before its first text ends without items, and the model is stopped."""
    model = ScriptedModel([asyncio.Event()])
    conversation = make_conversation(model)
    reading, received = await paused(turn := conversation.respond(), model)
    turn.cancel()
    last = await finished(reading)
    assert (last.outcome, last.reason, last.items, received) == (
        "cancelled",
        "client_cancelled",
        (),
        [RequestReady(Cut()), last],
    )
    assert (model.ended, len(conversation.history)) == (1, 1)
    assert sample(conversation, "turns_total", front_door="test", outcome="cancelled") == 1


async def test_cancel_in_the_middle() -> None:
    """The text of a cancelled turn stays in the history as incomplete, and its end is sent."""
    model = ScriptedModel(["Hel", asyncio.Event(), "lo"])
    conversation = make_conversation(model)
    reading, received = await paused(turn := conversation.respond(), model)
    turn.cancel("turn_detected")
    last = await finished(reading)
    assert [type(event).__name__ for event in received[1:]] == ["ItemAdded", "TextDelta", "ItemDone", "TurnEnded"]
    assert (last.outcome, last.reason, last.items[0].status) == ("cancelled", "turn_detected", "incomplete")
    assert (kept(conversation.history)[1:], model.ended) == ([("Message", "incomplete")], 1)


async def test_cancelled_words_are_sent_in_the_next_turn() -> None:
    """The text of a cancelled turn is sent to the model in the next one."""
    model = ScriptedModel(["Hel", asyncio.Event()], ["Yes?"])
    conversation = make_conversation(model)
    reading, _ = await paused(turn := conversation.respond(), model)
    turn.cancel()
    await finished(reading)
    conversation.history.append(message("Stop!"))
    await events_of(conversation.respond())
    assert contents(model)[1:] == ["Hello?", "Hel", "Stop!"]


async def test_cancel_before_it_is_read() -> None:
    """A turn that is cancelled before it is read makes no request to the model."""
    model = ScriptedModel()
    (turn := make_conversation(model).respond()).cancel()
    assert [type(event) for event in await events_of(turn)] == [TurnEnded]
    assert model.requests == []


async def test_cancel_while_the_reader_is_busy() -> None:
    """A cancel does not interrupt a reader that waits for its own socket, and ends the events for it."""
    model = ScriptedModel(["Hel", "lo"])
    turn = make_conversation(model).respond()
    received: list[TurnEvent] = []
    async with aclosing(turn.events()) as events:
        async for event in events:
            received.append(event)
            if len(received) == 3:
                turn.cancel()
                await asyncio.sleep(0)
    assert (words(received), model.ended) == ("Hel", 1)
    assert turn.ended is not None
    assert turn.ended.outcome == "cancelled"


async def test_cancel_during_the_prompt() -> None:
    """A turn that waits for its prompt can be cancelled."""
    begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(Kind):
        def make_system_prompt(self) -> str:
            loop.call_soon_threadsafe(begun.set)
            release.wait(LIMIT)
            return "late"

    turn = make_conversation(ScriptedModel(), make_character(Slow)).respond()
    reading = asyncio.create_task(events_of(turn))
    await asyncio.wait_for(begun.wait(), LIMIT)
    turn.cancel()
    assert (await finished(reading)).outcome == "cancelled"
    release.set()


async def test_cancel_during_a_tool() -> None:
    """A turn that waits for a tool can be cancelled, without another request to the model."""
    begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(Kind):
        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
            loop.call_soon_threadsafe(begun.set)
            release.wait(LIMIT)
            return "late"

    model = ScriptedModel([call("roll")])
    conversation = make_conversation(model, make_character(Slow, tools=[ROLL]))
    reading = asyncio.create_task(events_of(turn := conversation.respond()))
    await asyncio.wait_for(begun.wait(), LIMIT)
    turn.cancel()
    assert (await finished(reading)).outcome == "cancelled"
    release.set()
    assert not any(isinstance(item, FunctionOutput) for item in conversation.history)
    assert (len(model.requests), sample(conversation, "tool_calls_total")) == (1, 1)


async def test_turn_after_a_cancelled_tool() -> None:
    """A call without a known result has a placeholder in the next turn."""
    model = ScriptedModel([call("roll"), end("tool_calls")], [asyncio.Event()], ["Hi."])
    conversation = make_conversation(model, make_character(tools=[ROLL]))
    reading, _ = await paused(turn := conversation.respond(), model)
    turn.cancel()
    await finished(reading)
    await events_of(conversation.respond())
    assert roles(model) == ["system", "user", "assistant", "tool"]


async def test_cancelled_own_call_leaves_no_trace() -> None:
    """A call of the character's tool that was cut off never happened."""
    half = Delta(calls=(CallDelta(0, "call_1", "roll", '{"n"'),))
    model = ScriptedModel([half, asyncio.Event()])
    conversation = make_conversation(model, make_character(tools=[ROLL]))
    reading, _ = await paused(turn := conversation.respond(), model)
    turn.cancel()
    assert (await finished(reading)).items == ()
    assert len(conversation.history) == 1


async def test_cancel_twice() -> None:
    """The first reason counts."""
    model = ScriptedModel([asyncio.Event()])
    reading, _ = await paused(turn := make_conversation(model).respond(), model)
    turn.cancel("first")
    turn.cancel("second")
    turn.fail("third", "Too late.")
    last = await finished(reading)
    assert (last.outcome, last.reason, last.failure) == ("cancelled", "first", None)


async def test_cancel_after_the_end() -> None:
    """A turn that has ended stays as it ended."""
    turn = make_conversation().respond()
    last = await end_of(turn)
    turn.cancel()
    assert (turn.ended, last.outcome) == (last, "completed")


async def test_fail() -> None:
    """A turn that is failed from outside, as by a reload, has that error, and its text stays."""
    model = ScriptedModel(["Hel", asyncio.Event()])
    conversation = make_conversation(model)
    reading, _ = await paused(turn := conversation.respond(), model)
    turn.fail("characters_reloaded", "Characters reloaded.")
    last = await finished(reading)
    assert (last.outcome, last.failure) == ("failed", TurnFailure("characters_reloaded", "Characters reloaded."))
    assert (last.items[0].status, model.ended) == ("incomplete", 1)
    assert sample(conversation, "turns_total", front_door="test", outcome="failed") == 1


async def test_reader_that_is_cancelled() -> None:
    """The reader of a turn can be cancelled like any task: the model is stopped, and the text kept."""
    model = ScriptedModel(["Hel", asyncio.Event()])
    conversation = make_conversation(model)
    reading, _ = await paused(conversation.respond(), model)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (model.ended, kept(conversation.history)[1:]) == (1, [("Message", "incomplete")])
    assert sample(conversation, "turns_total", front_door="test", outcome="cancelled") == 1


async def test_reader_and_turn_are_both_cancelled() -> None:
    """A reader that is cancelled while its turn is has to end, whichever came first."""
    for first in ("turn", "reader"):
        model = ScriptedModel([asyncio.Event()])
        reading, _ = await paused(turn := make_conversation(model).respond(), model)
        cancels = {"turn": turn.cancel, "reader": reading.cancel}
        cancels.pop(first)()
        cancels.popitem()[1]()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(reading, LIMIT)
        assert model.ended == 1


async def test_reader_with_a_deadline() -> None:
    """A timeout around the reader works as around anything else."""
    model = ScriptedModel(["Hel", asyncio.Event()])

    async def read() -> None:
        async with asyncio.timeout(LIMIT) as limit, aclosing(make_conversation(model).respond().events()) as events:
            async for _ in events:
                limit.reschedule(asyncio.get_running_loop().time() + 0.01)

    with pytest.raises(TimeoutError):
        await read()
    assert model.ended == 1


async def test_reader_that_goes_away() -> None:
    """A reader that stops ends the turn: the model is stopped, and the text kept."""
    model = ScriptedModel(["Hel", "lo"])
    conversation = make_conversation(model)
    async with aclosing((turn := conversation.respond()).events()) as events:
        await anext(events)
        await anext(events)
    assert (model.ended, kept(conversation.history)[1:]) == (1, [("Message", "incomplete")])
    assert turn.ended is None
    assert sample(conversation, "turns_total", front_door="test", outcome="cancelled") == 1


class Stubborn(ScriptedModel):
    """Makes something else of the cancellation that stops it."""

    def __init__(self, instead: Exception | str) -> None:
        super().__init__()
        self.instead = instead

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        try:
            self.pausing.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if isinstance(self.instead, Exception):
                raise self.instead from None
        yield [Delta(str(self.instead))]


async def test_model_that_swallows_the_cancel() -> None:
    """A model that ignores its cancellation is not read any further, and no cancellation is left pending."""
    model = Stubborn("never mind")
    reading, received = await paused(turn := make_conversation(model).respond(), model)
    turn.cancel()
    assert (await finished(reading)).outcome == "cancelled"
    assert words(received) in ("", "never mind")


@pytest.mark.parametrize("error", [ModelError("unreachable", "Gone."), RuntimeError("closed")])
async def test_model_that_fails_when_it_is_cancelled(error: Exception) -> None:
    """A cancelled turn is cancelled whatever the model raises, and no cancellation is left pending."""
    model = Stubborn(error)
    reading, _ = await paused(turn := make_conversation(model).respond(), model)
    turn.cancel()
    assert (await finished(reading)).outcome == "cancelled"


async def test_cancel_while_a_call_is_closed() -> None:
    """A cancel between the last arguments of a call and its end leaves no item in progress."""
    turn = (conversation := make_conversation(ScriptedModel([call("door", "")]))).respond(TurnOptions(tools=[DOOR]))
    async with aclosing(turn.events()) as events:
        async for event in events:
            if type(event).__name__ == "ArgumentsDelta":
                turn.cancel()
    assert kept(conversation.history)[1:] == [("FunctionCall", "incomplete")]


# Out of band


async def test_answer_that_leaves_no_trace() -> None:
    """A response that is not recorded has the history, and is not added to it."""
    model = ScriptedModel([call("roll")], ["Aside."])
    conversation = make_conversation(model, make_character(tools=[ROLL]))
    last = await end_of(conversation.respond(TurnOptions(recorded=False)))
    assert [item.text for item in last.items if isinstance(item, Message)] == ["Aside."]
    assert (contents(model)[1], len(conversation.history)) == ("Hello?", 1)


async def test_items_instead_of_the_conversation() -> None:
    """A response with items of its own has only those, and the system prompt."""
    model = ScriptedModel()
    await events_of(
        make_conversation(model).respond(TurnOptions(items=History([message("Sum up: a, b.")]), recorded=False))
    )
    assert contents(model) == ["Be kind.", "Sum up: a, b."]


async def test_no_items_are_items_too() -> None:
    """An empty list is not the conversation."""
    model = ScriptedModel()
    await events_of(make_conversation(model).respond(TurnOptions(items=History(), recorded=False)))
    assert contents(model) == ["Be kind.", "Hello."]


async def test_two_answers_at_the_same_time() -> None:
    """A response out of band runs beside another one, and neither has the other's text."""
    pause = asyncio.Event()
    model = ScriptedModel([pause, "first"], ["second"])
    conversation = make_conversation(model)
    reading, _ = await paused(conversation.respond(), model)
    assert words(await events_of(conversation.respond(TurnOptions(recorded=False)))) == "second"
    pause.set()
    assert words(await reading) == "first"
    assert len(conversation.history) == 2


# What is counted


async def test_usage_is_the_models() -> None:
    """The model's usage is reported and counted, and cached tokens are part of the input."""
    conversation = make_conversation(ScriptedModel(["Hi.", end(), Delta(usage=Usage(7, 3, 5))]))
    assert (await end_of(conversation.respond())).usage == Usage(7, 3, 5)
    assert sample(conversation, "tokens_total", kind="input") == 7
    assert sample(conversation, "tokens_total", kind="output") == 3


async def test_usage_is_summed_over_rounds() -> None:
    """Each request to the model counts."""
    model = ScriptedModel([call("roll"), end(usage=Usage(7, 3, 5))], ["Hi.", end(usage=Usage(20, 2, 10))])
    assert (await end_of(make_conversation(model, make_character(tools=[ROLL])).respond())).usage == Usage(27, 5, 15)


async def test_usage_is_estimated() -> None:
    """Without a usage of the model four characters are a token, and the output is rounded up."""
    last = await end_of(make_conversation(ScriptedModel(["12345"])).respond())
    assert last.usage == Usage(len("Be kind." + "Hello?") // 4, 2)


async def test_usage_is_estimated_for_the_rounds_without_one() -> None:
    """Only rounds without a usage are estimated; tools count as input, arguments as output."""
    model = ScriptedModel([call("roll", "{}"), call("roll", '{"a": 1}', "b", 1)], ["Hi.", end(usage=Usage(20, 2))])
    last = await end_of(make_conversation(model, make_character(tools=[ROLL])).respond())
    assert last.usage == Usage(20 + (len("Be kind.Hello?") + len(encoded([ROLL]))) // 4, 2 + 3)


async def test_usage_of_a_round_is_estimated_from_that_round() -> None:
    """The output of a round with a known usage is not counted again."""
    model = ScriptedModel(["x" * 400, call("roll"), end(usage=Usage(20, 2))], ["12345"])
    last = await end_of(make_conversation(model, make_character(tools=[ROLL])).respond())
    assert last.usage.output_tokens == 2 + 2


async def test_usage_of_a_picture() -> None:
    """An image has the tokens of its setting, whatever its bytes."""
    earlier = Message(role="user", parts=(Text("Look!"), Image("data:" + "x" * 90_000)))
    assert (await end_of(make_conversation(None, None, earlier).respond())).usage.input_tokens == len(
        "Be kind." + "Look!"
    ) // 4


async def test_usage_of_a_cancelled_turn() -> None:
    """The input and output before a cancel are counted."""
    model = ScriptedModel(["12345", asyncio.Event()])
    reading, _ = await paused(turn := make_conversation(model).respond(), model)
    turn.cancel()
    assert (await finished(reading)).usage == Usage(3, 2)


async def test_usage_of_an_abandoned_turn() -> None:
    """The input and output for a reader that stopped are counted."""
    conversation = make_conversation(ScriptedModel(["12345", "6"]))
    async with aclosing(conversation.respond().events()) as events:
        await anext(events)
        await anext(events)
    assert sample(conversation, "tokens_total", kind="input") == 3


async def test_no_request_no_usage() -> None:
    """A turn that fails before a request to the model has no usage."""
    Broken.outcomes = iter([None])
    assert (await end_of(make_conversation(None, make_character(Broken)).respond())).usage == Usage()


async def test_turns_and_times_are_counted() -> None:
    """Each turn counts once, by its API and outcome, with the times to its first piece and its end."""
    conversation = make_conversation(ScriptedModel([call("roll")], ["Hel", "lo"]), make_character(tools=[ROLL]))
    await events_of(conversation.respond())
    assert sample(conversation, "turns_total", front_door="test", outcome="completed") == 1
    assert sample(conversation, "time_to_first_token_seconds_count") == 1
    assert sample(conversation, "turn_duration_seconds_count") == 1


async def test_silence_has_no_first_token() -> None:
    """A turn without text has no time to its first piece."""
    conversation = make_conversation(ScriptedModel([end()]))
    await events_of(conversation.respond())
    assert sample(conversation, "time_to_first_token_seconds_count") == 0
    assert sample(conversation, "turn_duration_seconds_count") == 1


# Whatever happens

STEPS = st.one_of(
    st.sampled_from(
        [
            "Hel",
            "lo",
            end("length"),
            end("stop", Usage(3, 2)),
            call("roll"),
            call("door", ""),
            call("door", "{}", "call_2", 1),
        ]
    ),
    st.just(Delta(calls=(CallDelta(0, None, None, "{}"),))),
    st.builds(ModelError, st.just("timeout"), st.just("Late.")),
    st.builds(RuntimeError),
)


@given(st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=3), st.integers(0, 12))
def test_every_turn_comes_to_an_orderly_end(scripts: list[list[Step]], cancelled_after: int) -> None:
    """Whatever a model sends, and whenever it is cancelled, each item begins and ends once, and then the turn ends."""
    conversation = make_conversation(ScriptedModel(*scripts), make_character(tools=[ROLL]), tool_rounds=2)
    events = asyncio.run(_events_until(conversation.respond(TurnOptions(tools=[DOOR])), cancelled_after))
    assert isinstance(last := events.pop(), TurnEnded)
    begun = [event.item for event in events if isinstance(event, ItemAdded)]
    done = [event.item for event in events if isinstance(event, ItemDone)]
    assert ([item.id for item in begun], tuple(done)) == ([item.id for item in done], last.items)
    assert [_text_sent(item.id, events) for item in done] == [_text(item) for item in done]
    assert [item for item in conversation.history if not item.hidden][1:] == done


async def _events_until(turn: Turn, cancelled_after: int) -> list[TurnEvent]:
    received: list[TurnEvent] = []
    async with asyncio.timeout(LIMIT), aclosing(turn.events()) as events:
        async for event in events:
            received.append(event)
            if len(received) == cancelled_after:
                turn.cancel()
    return received


def _text_sent(item_id: str, events: list[TurnEvent]) -> str:
    deltas = [event for event in events if isinstance(event, (TextDelta, ArgumentsDelta))]
    return "".join(delta.text for delta in deltas if delta.item_id == item_id)


def _text(item: Message | FunctionCall) -> str:
    return item.text if isinstance(item, Message) else item.arguments
