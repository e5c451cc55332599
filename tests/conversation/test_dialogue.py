"""The place of a request in its conversation."""

from __future__ import annotations

import pytest

from charhost.conversation.dialogue import Dialogue, Heard
from charhost.conversation.items import FunctionCall, FunctionOutput, Item, Message, Other, Text
from tests.scripted import message

QUESTION, RESPONSE = message("Hi"), message("Yes.", "assistant")
CALL, RESULT = FunctionCall(call_id="1", name="roll", arguments="{}"), FunctionOutput(call_id="1", output="4")


def test_digests_may_be_made_step_by_step() -> None:
    """The digests of a conversation are those of its beginning, once the rest follows."""
    assert Heard().after([QUESTION, RESPONSE, message("Ho")]) == Heard().after([QUESTION]).after([message("Ho")])


def test_only_the_user_is_heard() -> None:
    """What the character and the system said, and calls, change no digest."""
    assert Heard().after([message("Rhyme.", "system"), QUESTION, CALL, RESULT, RESPONSE]) == Heard().after([QUESTION])


@pytest.mark.parametrize(
    "other",
    [
        message("Ho"),
        Message(role="user", parts=(Text("H"), Text("i"))),
        Message(role="user", parts=(Other({"type": "text", "text": "Hi"}),)),
    ],
)
def test_other_words_have_another_digest(other: Message) -> None:
    """Another text, the same text in other parts, and a part of another kind are not the same message."""
    assert Heard().after([other]).digest != Heard().after([QUESTION]).digest


def test_response_keeps_the_place_of_its_question() -> None:
    """A question that waits is at the place before it, and at its own place once it has a response."""
    asked, answered = Dialogue.of([QUESTION]), Dialogue.of([QUESTION, RESPONSE])
    assert asked.place == (b"", ())
    assert answered.place == (Heard().after([QUESTION]).digest, ())
    assert Dialogue.of([QUESTION, RESPONSE, message("Ho")]).place == answered.place


@pytest.mark.parametrize(("items", "calls"), [([QUESTION, CALL, RESULT], ("1",)), ([CALL, RESULT, QUESTION], ())])
def test_calls_are_those_since_the_last_message(items: list[Item], calls: tuple[str, ...]) -> None:
    """Calls before the last message of the user belong to an earlier place."""
    assert Dialogue.of(items).calls == calls
