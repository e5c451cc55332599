"""Example speakers: system messages with the names of OpenAI's guides."""

from __future__ import annotations

from charhost.conversation.items import Message, Text
from tests.scripted import ScriptedModel, events_of, make_conversation, message


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
