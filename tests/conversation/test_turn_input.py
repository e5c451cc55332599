"""The input of a turn: its system message, and how much of the conversation fits the context of the model."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.conversation.excerpt import Cut
from charhost.conversation.items import Item, Message, Text
from charhost.conversation.turn_events import RequestReady
from charhost.conversation.turn_input import TurnOptions
from tests.scripted import ScriptedModel, events_of, make_character, make_conversation, message, tool

LONG = [message("a" * 9_000), message("Yes.", "assistant"), message("b" * 9_000), message("No.", "assistant")]


async def sent(length: int | None, *given: Item, tools: int = 0, **settings: Any) -> int:
    """The characters of the messages that a model of that context length is sent, with a limit of 500 tokens."""
    model = ScriptedModel()
    model.length = length
    character = make_character(tools=[tool(f"tool_{number}") for number in range(tools)])
    options = TurnOptions(options={"max_tokens": 500})
    await events_of(make_conversation(model, character, *(given or (*LONG, message("?"))), **settings).respond(options))
    return sum(len(spoken["content"]) for spoken in model.messages)


async def test_an_unknown_length_leaves_the_setting() -> None:
    """Without a length the settings alone are the budget."""
    assert await sent(None) == len("Be kind.") + sum(len(item.text) for item in LONG) + 1


async def test_the_smaller_budget_counts() -> None:
    """A request and its answer fit into the length in force, and a longer one does not exceed the setting."""
    assert 9_000 < await sent(4_000) <= (4_000 - 500) * 4
    assert 3_000 < await sent(1_500) <= (1_500 - 500) * 4
    assert await sent(100_000, history_tokens=1_000) <= 1_000 * 4 + len("Be kind.")


async def test_tools_need_room() -> None:
    """The definitions of tools and the prompt count."""
    assert await sent(4_000, tools=20) < await sent(4_000) - 1_000


async def test_a_long_question_fits() -> None:
    """A question that exceeds the length in force is shortened: the server would refuse it."""
    assert 3_000 < await sent(1_500, message("x" * 20_000)) <= (1_500 - 500) * 4


async def test_a_system_prompt_has_its_own_setting() -> None:
    """The system messages of a client have the budget of `--system-tokens`."""
    given = (message("r" * 60_000, "system"), *LONG, message("?"))
    assert await sent(None, *given) > 78_000
    assert 19_000 < await sent(None, *given, system_tokens=500) <= 18_100 + 500 * 4


@pytest.mark.parametrize("limit", [0, -1, 10**9, "many", True, None])
async def test_impossible_limits(limit: Any) -> None:
    """A limit that no answer can have leaves room for the conversation; to refuse it is for the server."""
    model = ScriptedModel()
    model.length = 4_000
    events = await events_of(
        make_conversation(model, None, message("Hello?")).respond(TurnOptions(options={"max_tokens": limit}))
    )
    assert isinstance(events[0], RequestReady)
    assert model.messages[1]["content"] == "Hello?"


class Reticent(ScriptedModel):
    """A model whose server must not be asked for its context length."""

    async def context_length(self) -> int:
        raise AssertionError


async def test_a_short_conversation_asks_nothing() -> None:
    """The server is not asked for its length where any would do."""
    events = await events_of(make_conversation(Reticent(), None, message("Hello?")).respond())
    assert events[0] == RequestReady(Cut())


def example(speaker: str, text: str) -> Message:
    return Message(role="system", parts=(Text(text),), name=speaker)


async def test_examples_keep_their_speakers() -> None:
    """The one system message has each example after its speaker; other names are no part of it."""
    model = ScriptedModel()
    opening = [example("rules", "Rhyme."), example("example_user", "Hi"), example("example_assistant", "Sky-high!")]
    await events_of(make_conversation(model, None, *opening, message("Hello?")).respond())
    system = "Be kind.\n\nRhyme.\n\nexample_user: Hi\n\nexample_assistant: Sky-high!"
    assert model.messages == [{"role": "system", "content": system}, {"role": "user", "content": "Hello?"}]


async def test_later_examples_keep_their_speakers() -> None:
    """An example after the first message is a system message with its speaker in its text."""
    model = ScriptedModel()
    await events_of(
        make_conversation(model, None, message("Hi"), example("example_user", "Ho"), message("Hello?")).respond()
    )
    assert model.messages[2] == {"role": "system", "content": "example_user: Ho"}
