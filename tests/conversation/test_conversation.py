"""Conversation: one chat with one character, from turn to turn."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import aclosing
from typing import Any

from charhost.character.character import Character, LoadedModules
from charhost.conversation.turn_input import TurnOptions
from tests.scripted import (
    LIMIT,
    Kind,
    ScriptedModel,
    call,
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


class Build(LoadedModules):
    """Modules whose end can be observed."""


def character(name: str, prompt: str, **fields: Any) -> Character:
    """Return a character with that prompt, without another reference to its class."""

    class TextPrompt(Kind):
        def make_system_prompt(self) -> str:
            return prompt

        def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
            return f"{name}'s result"

    return make_character(TextPrompt, name=name, **fields)


def settle() -> None:
    """Wait for the threads that ran a character's code, and collect garbage."""
    for thread in threading.enumerate():
        if thread.name == "charhost-loader":
            thread.join(LIMIT)
    gc.collect()


def system(model: ScriptedModel) -> list[str]:
    """The system message of each request."""
    return [request.messages[0]["content"] for request in model.requests]


def test_conversations_are_separate() -> None:
    """Each conversation has an id and a history of its own."""
    shared = make_conversations()
    one, two = shared.open(make_character(), "test"), shared.open(make_character(), "test")
    one.history.append(message("Hi"))
    assert one.id.startswith("conv_")
    assert (one.id != two.id, len(two.history)) == (True, 0)


async def test_prompt_is_made_at_the_first_turn_and_kept() -> None:
    """The prompt is made at the first turn, once in a conversation."""
    made: list[int] = []

    class Counting(Kind):
        def make_system_prompt(self) -> str:
            made.append(1)
            return f"Prompt {len(made)}."

    model = ScriptedModel()
    conversation = make_conversation(model, make_character(Counting))
    turns = [conversation.respond(), conversation.respond()]
    assert made == []
    for turn in turns:
        await events_of(turn)
    assert system(model) == ["Prompt 1.", "Prompt 1."]


async def test_each_conversation_has_its_own_instance() -> None:
    """Each conversation has an instance of its character of its own."""
    made: list[Kind] = []

    class Noting(Kind):
        def make_system_prompt(self) -> str:
            made.append(self)
            return ""

    shared, noting = make_conversations(), make_character(Noting)
    for _ in range(2):
        await events_of(shared.open(noting, "test").respond())
    assert made[0] is not made[1]


async def test_options_are_for_one_turn() -> None:
    """Instructions, tools and options of one response are not used in the next."""
    model = ScriptedModel()
    conversation = make_conversation(model)
    await events_of(conversation.respond(TurnOptions(instructions="Rhyme.", tools=[tool("door")], options={"seed": 1})))
    await events_of(conversation.respond())
    assert system(model) == ["Be kind.\n\nRhyme.", "Be kind."]
    assert (list(model.requests[1].tools), model.requests[1].options) == ([], {})


async def test_conversation_outlives_its_failures() -> None:
    """A conversation continues after a turn that failed."""
    conversation = make_conversation(ScriptedModel([RuntimeError("gone")], ["Hi."]))
    assert (await end_of(conversation.respond())).outcome == "failed"
    assert words(await events_of(conversation.respond())) == "Hi."
    assert sample(conversation, "turns_total", front_door="test", outcome="completed") == 1


async def test_hanging_prompt_of_another_conversation() -> None:
    """A conversation whose character hangs delays no other one on the same server."""
    begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Hanging(Kind):
        def make_system_prompt(self) -> str:
            loop.call_soon_threadsafe(begun.set)
            release.wait(LIMIT)
            return ""

    shared = make_conversations()
    hanging = asyncio.create_task(events_of(shared.open(make_character(Hanging), "test").respond()))
    await asyncio.wait_for(begun.wait(), LIMIT)
    assert words(await events_of(shared.open(make_character(), "test").respond())) == "Hi."
    assert not hanging.done()
    release.set()
    await hanging


# move_to


async def test_next_turn_has_the_new_character() -> None:
    """After a move the next turn has the new character, its prompt, and the history."""
    model = ScriptedModel()
    conversation = make_conversation(model, character("Ada", "I am Ada."))
    await events_of(conversation.respond())
    conversation.move_to(bob := character("Bob", "I am Bob."))
    assert conversation.character is bob
    await events_of(conversation.respond())
    assert system(model) == ["I am Ada.", "I am Bob."]
    assert [spoken["content"] for spoken in model.messages[1:]] == ["Hello?", "Hi."]


async def test_each_character_has_its_model() -> None:
    """The model is chosen for the character of the turn."""
    asked: list[str] = []

    class Choosy(ScriptedModel):
        def of(self, character: Character) -> ScriptedModel:
            asked.append(character.name)
            return self

    conversation = make_conversation(Choosy(), make_character(name="Ada"))
    await events_of(conversation.respond())
    conversation.move_to(make_character(name="Bob"))
    await events_of(conversation.respond())
    assert asked == ["Ada", "Bob"]


async def test_running_turn_keeps_its_character() -> None:
    """A turn ends with the prompt, the tools and the code that it began with."""
    pause = asyncio.Event()
    model = ScriptedModel([pause, call("roll")], ["Done."])
    conversation = make_conversation(model, character("Ada", "I am Ada.", tools=[tool("roll")]))
    reading = asyncio.create_task(events_of(conversation.respond()))
    await asyncio.wait_for(model.pausing.wait(), LIMIT)
    conversation.move_to(character("Bob", "I am Bob."))
    pause.set()
    assert words(await reading) == "Done."
    assert (system(model), model.messages[-1]["content"]) == (["I am Ada."] * 2, "Ada's result")


async def test_turn_that_was_made_before_a_move() -> None:
    """A turn keeps the character that it was made with, also if it is read after the move."""
    model = ScriptedModel()
    conversation = make_conversation(model, character("Ada", "I am Ada."))
    turn = conversation.respond()
    conversation.move_to(character("Bob", "I am Bob."))
    await events_of(turn)
    assert system(model) == ["I am Ada."]


async def test_move_to_a_new_version() -> None:
    """The same name with new code is a new character, and makes a prompt of its own."""
    model = ScriptedModel()
    conversation = make_conversation(model, character("Ada", "Old."))
    await events_of(conversation.respond())
    conversation.move_to(character("Ada", "New."))
    await events_of(conversation.respond())
    assert system(model) == ["Old.", "New."]


async def test_move_to_the_same_character() -> None:
    """A move to where one is changes nothing: the prompt is not made again."""
    made: list[int] = []

    class Counting(Kind):
        def make_system_prompt(self) -> str:
            made.append(1)
            return ""

    conversation = make_conversation(None, make_character(Counting))
    await events_of(conversation.respond())
    conversation.move_to(conversation.character)
    await events_of(conversation.respond())
    assert made == [1]


async def test_old_build_is_let_go() -> None:
    """After a move, and the end of its last turn, a conversation holds nothing of the old build."""
    build = Build()
    conversation = make_conversation(
        ScriptedModel([call("roll")], ["Hi."]), character("Ada", "", tools=[tool("roll")], modules=build)
    )
    old: list[weakref.ref[Any]] = [weakref.ref(build), weakref.ref(conversation.character.prompt_generator)]
    del build
    await events_of(conversation.respond())
    assert old[0]() is not None
    conversation.move_to(make_character(name="Bob"))
    settle()
    assert [ref() for ref in old] == [None, None]


async def test_old_build_lives_as_long_as_its_turn() -> None:
    """A running turn keeps the modules that its character needs."""
    build, pause = Build(), asyncio.Event()
    model = ScriptedModel([pause])
    conversation = make_conversation(model, character("Ada", "", modules=build))
    old = weakref.ref(build)
    del build
    reading = asyncio.create_task(events_of(conversation.respond()))
    await asyncio.wait_for(model.pausing.wait(), LIMIT)
    conversation.move_to(make_character(name="Bob"))
    settle()
    assert old() is not None
    pause.set()
    await reading
    del reading
    settle()
    assert old() is None


async def test_old_build_of_a_turn_that_was_cancelled() -> None:
    """A cancelled turn does not keep its build alive."""
    build = Build()
    conversation = make_conversation(ScriptedModel(["Hel", "lo"]), character("Ada", "", modules=build))
    old = weakref.ref(build)
    del build
    turn = conversation.respond()
    async with aclosing(turn.events()) as events:
        async for _ in events:
            turn.cancel()
    conversation.move_to(make_character(name="Bob"))
    del turn, events
    settle()
    assert old() is None
