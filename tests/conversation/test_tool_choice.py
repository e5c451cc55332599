"""The choice of a client among its own tools, beside those of the character."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.conversation.turn_input import TurnOptions
from tests.scripted import ScriptedModel, call, calls, end_of, events_of, make_character, make_conversation, tool, words

ROLL = tool("roll")
DOOR = tool("door")
NAMED = {"type": "function", "function": {"name": "door"}}


@pytest.mark.parametrize("choice", ["required", NAMED])
async def test_a_required_call_stays_required_after_a_call_of_the_character(choice: Any) -> None:
    """A call that the server runs is not the one that the client requires."""
    model = ScriptedModel([call("roll")], [call("door")])
    ended = await end_of(
        make_conversation(model, make_character(tools=[ROLL])).respond(TurnOptions(tools=[DOOR], tool_choice=choice))
    )
    assert [request.tool_choice for request in model.requests] == [choice, choice]
    assert calls(ended) == [("door", "{}")]


async def test_the_last_round_of_a_required_call_has_the_tools_of_the_client_only() -> None:
    """At the limit of rounds the model can call no further tool of the character."""
    model = ScriptedModel([call("roll")], [call("door")])
    options = TurnOptions(tools=[DOOR], tool_choice="required")
    await events_of(make_conversation(model, make_character(tools=[ROLL]), tool_rounds=1).respond(options))
    assert [(list(request.tools), request.tool_choice) for request in model.requests] == [
        ([ROLL, DOOR], "required"),
        ([DOOR], "required"),
    ]


async def test_none_leaves_the_tools_of_the_character() -> None:
    """The tools of the client are left out, and the model may call the others."""
    model = ScriptedModel([call("roll")], ["A two."])
    events = await events_of(
        make_conversation(model, make_character(tools=[ROLL])).respond(TurnOptions(tools=[DOOR], tool_choice="none"))
    )
    assert words(events) == "A two."
    assert [(request.tools, request.tool_choice) for request in model.requests] == [([ROLL], None), ([ROLL], None)]


async def test_a_forbidden_call_does_not_reach_the_client() -> None:
    """A model that calls a tool of the client all the same is sent an error."""
    model = ScriptedModel([call("door")], ["Sorry."])
    ended = await end_of(make_conversation(model).respond(TurnOptions(tools=[DOOR], tool_choice="none")))
    assert calls(ended) == []
    assert model.messages[-1]["content"].startswith("Error: there is no tool 'door'")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "roll"}}, {"function": 5}])
async def test_a_choice_that_is_not_about_a_tool_of_the_client_counts_once(choice: Any) -> None:
    """It would otherwise have the model call for ever."""
    model = ScriptedModel([call("roll")], ["Done."])
    await events_of(make_conversation(model, make_character(tools=[ROLL])).respond(TurnOptions(tool_choice=choice)))
    assert [request.tool_choice for request in model.requests] == [choice, "auto"]
