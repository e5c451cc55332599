"""What is kept of a conversation between the requests of a client that sends all its items."""

from __future__ import annotations

from collections.abc import Sequence

from charhost.conversation.chat_messages import as_messages
from charhost.conversation.continued import ContinuedConversations
from charhost.conversation.items import FunctionCall, FunctionOutput, Item
from charhost.conversation.turn_events import TurnEnded
from tests.scripted import message

CLIENT = ("", "Ada")


def called(call_id: str, name: str, hidden: bool = False) -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments="{}", hidden=hidden)


def result(call_id: str, output: str, hidden: bool = False) -> FunctionOutput:
    return FunctionOutput(call_id=call_id, output=output, hidden=hidden)


def ended(*made: Item) -> TurnEnded:
    shown = tuple(item for item in made if not isinstance(item, FunctionOutput) and not item.hidden)
    return TurnEnded("completed", shown, made=made)


def restored(continued: ContinuedConversations, client: Sequence[str], *items: Item) -> list[str]:
    """Return the messages for the model, each as its role and its calls or its call."""
    found = as_messages(continued.claim(client, items).conversation.restored(items))
    calls = ([call["id"] for call in entry.get("tool_calls", ())] or [entry.get("tool_call_id", "")] for entry in found)
    return [f"{entry['role']} {' '.join(ids)}".strip() for entry, ids in zip(found, calls, strict=True)]


MIXED = ended(
    called("a", "roll", hidden=True),
    result("a", "2", hidden=True),
    called("b", "roll", hidden=True),
    called("c", "door"),
    called("d", "roll", hidden=True),
    called("e", "door"),
    result("b", "3", hidden=True),
    result("d", "4", hidden=True),
)
REST = (called("c", "door"), called("e", "door"), result("c", "open"), result("e", "shut"))


def test_results_of_the_server_come_back_with_the_clients() -> None:
    """The model gets the server's calls of all rounds, those of one message in one message."""
    continued = ContinuedConversations(10, 60)
    continued.claim(CLIENT, [message("Hi")]).end(MIXED)
    assert restored(continued, CLIENT, message("Hi"), *REST) == [
        "user",
        "assistant a",
        "tool a",
        "assistant b c d e",
        "tool b",
        "tool c",
        "tool d",
        "tool e",
    ]


def test_results_of_the_server_are_for_their_owner_and_character() -> None:
    """Another key or another character gets nothing of them."""
    continued = ContinuedConversations(10, 60)
    continued.claim(("one", "Ada"), [message("Hi")]).end(MIXED)
    for client in (("two", "Ada"), ("one", "Bob"), ("", "Ada")):
        assert restored(continued, client, message("Hi"), *REST)[1] == "assistant c e"


def test_equal_calls_of_two_conversations_belong_to_none() -> None:
    """Results are not mixed up where a model numbers its calls and two users say the same."""
    continued = ContinuedConversations(10, 60)
    for _ in range(2):
        continued.claim(CLIENT, [message("Hi")]).end(MIXED)
    assert restored(continued, CLIENT, message("Hi"), *REST)[1] == "assistant c e"


def test_equal_words_with_other_calls_are_another_conversation() -> None:
    """The ids of the client's calls tell two conversations with the same words from each other."""
    continued = ContinuedConversations(10, 60)
    continued.claim(CLIENT, [message("Hi")]).end(MIXED)
    continued.claim(CLIENT, [message("Hi")]).end(ended(called("x", "door")))
    assert restored(continued, CLIENT, message("Hi"), *REST)[1] == "assistant a"


def test_nothing_is_kept_where_no_session_is() -> None:
    """With --resume-max 0 the server keeps nothing."""
    continued = ContinuedConversations(0, 60)
    continued.claim(CLIENT, [message("Hi")]).end(MIXED)
    assert restored(continued, CLIENT, message("Hi"), *REST)[1] == "assistant c e"
