"""What is kept of a conversation between the requests of a client that sends all its items."""

from __future__ import annotations

import pytest

from charhost.character.character import CharacterSet
from charhost.character.instance import CharacterInstance
from charhost.conversation.chat_messages import as_messages
from charhost.conversation.continued import Claim, Client, ContinuedConversations
from charhost.conversation.dialogue import Dialogue
from charhost.conversation.items import FunctionCall, FunctionOutput, Item
from charhost.conversation.turn_events import TurnEnded
from charhost.report import SessionPolicy
from tests.scripted import make_character, make_conversations, message

CLIENT = Client("", "Ada")
NAMED = Client("", "Ada", "chat 1")
SHARED = make_conversations()


def called(call_id: str, name: str, hidden: bool = False) -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments="{}", hidden=hidden)


def result(call_id: str, output: str, hidden: bool = False) -> FunctionOutput:
    return FunctionOutput(call_id=call_id, output=output, hidden=hidden)


def ended(*made: Item) -> TurnEnded:
    shown = tuple(item for item in made if not isinstance(item, FunctionOutput) and not item.hidden)
    return TurnEnded("completed", shown, made=made)


def instance() -> CharacterInstance:
    return SHARED.instance(make_character())


def claim(continued: ContinuedConversations, *texts: str, client: Client = CLIENT) -> Claim:
    """Claim a conversation with these messages of the user, each but the last with a response."""
    items = [item for text in texts for item in (message(text), message("Yes.", "assistant"))][:-1]
    return continued.claim(client, Dialogue.of(items), instance)


def respond(continued: ContinuedConversations, response: TurnEnded, client: Client = CLIENT) -> None:
    """Respond to the user's "Hi"."""
    with claim(continued, "Hi", client=client) as found:
        found.keep(response)


def used(continued: ContinuedConversations, *texts: str, client: Client = CLIENT) -> CharacterInstance:
    """Return the instance that a whole request used."""
    with claim(continued, *texts, client=client) as found:
        return found.instance


def restored(continued: ContinuedConversations, client: Client, *items: Item) -> list[str]:
    """Return the messages for the model, each as its role and its calls or its call."""
    found = as_messages(continued.claim(client, Dialogue.of(items), instance).restored(items))
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
    respond(continued, MIXED)
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
    respond(continued, MIXED, Client("one", "Ada"))
    for client in (Client("two", "Ada"), Client("one", "Bob"), Client("", "Ada")):
        assert restored(continued, client, message("Hi"), *REST)[1] == "assistant c e"


def test_equal_calls_of_two_conversations_belong_to_none() -> None:
    """Results are not mixed up where a model numbers its calls and two users send the same."""
    continued = ContinuedConversations(10, 60)
    for _ in range(2):
        respond(continued, MIXED)
    assert restored(continued, CLIENT, message("Hi"), *REST)[1] == "assistant c e"


def test_equal_words_with_other_calls_are_another_conversation() -> None:
    """The ids of the client's calls separate two conversations with the same words."""
    continued = ContinuedConversations(10, 60)
    respond(continued, MIXED)
    respond(continued, ended(called("x", "door")))
    assert restored(continued, CLIENT, message("Hi"), *REST)[1] == "assistant a"


def test_the_oldest_conversation_is_given_up() -> None:
    """For memory the conversation goes that was not used for longest, whichever began first."""
    continued = ContinuedConversations(10, 60)
    first, second = used(continued, "One"), used(continued, "Two")
    assert used(continued, "One", "Again") is first
    for _ in range(2):  # the places of "Two", and of the beginning of "One"
        assert continued.oldest is not None
        continued.give_up()
    assert used(continued, "One", "Again", "Again") is first
    assert used(continued, "Two", "Again") is not second


def test_nothing_is_kept_where_no_session_is() -> None:
    """With --resume-max 0 the server keeps nothing."""
    continued = ContinuedConversations(0, 60)
    respond(continued, MIXED)
    assert restored(continued, CLIENT, message("Hi"), *REST)[1] == "assistant c e"


def test_a_request_goes_on_with_the_instance_of_its_conversation() -> None:
    """A later message, and another response to the same one, have the instance of the messages before."""
    continued = ContinuedConversations(10, 60)
    first = used(continued, "Hi")
    assert [used(continued, "Hi", text) is first for text in ("Roll!", "Roll!", "Stop!")] == [True] * 3
    assert used(continued, "Hi", "Roll!", "Again!") is first
    assert used(continued, "Hi", "Fly!", "Again!") is not first


def test_conversations_that_began_alike_share_nothing() -> None:
    """A digest that two conversations have had belongs to none, until one of them goes on by itself."""
    continued = ContinuedConversations(10, 60)
    one, two = used(continued, "Hi"), used(continued, "Hi")
    third = used(continued, "Hi", "Roll!")
    assert len({one, two, third}) == 3
    assert used(continued, "Hi", "Roll!", "Again!") is third


def test_an_id_separates_conversations() -> None:
    """With ids of their own, conversations that began alike go on, also with another response to the first message."""
    continued = ContinuedConversations(10, 60)
    other = Client("", "Ada", "chat 2")
    one, two = used(continued, "Hi", client=NAMED), used(continued, "Hi", client=other)
    assert one is not two
    assert used(continued, "Hi", client=NAMED) is one
    assert [used(continued, "Hi", "Roll!", client=client) for client in (NAMED, other)] == [one, two]


def test_an_id_counts_only_with_its_messages() -> None:
    """The same id with other words before is another conversation."""
    continued = ContinuedConversations(10, 60)
    first = used(continued, "Hi", client=NAMED)
    assert used(continued, "Ho", "Roll!", client=NAMED) is not first


@pytest.mark.parametrize("client", [Client("two", "Ada"), Client("", "Ada"), Client("one", "Bob")])
@pytest.mark.parametrize("conversation_id", ["", "chat 1"])
def test_the_instance_is_for_its_owner_and_character(client: Client, conversation_id: str) -> None:
    """With another key or another character the state is not found, whatever the id and the words."""
    continued = ContinuedConversations(10, 60)
    first = used(continued, "Hi", client=Client("one", "Ada", conversation_id))
    assert used(continued, "Hi", "Roll!", client=Client(client.owner, client.character, conversation_id)) is not first


@pytest.mark.parametrize("client", [CLIENT, NAMED])
def test_one_request_at_a_time_has_the_instance(client: Client) -> None:
    """A concurrent one gets a fresh instance; the conversation goes on with that of the first."""
    continued = ContinuedConversations(10, 60)
    first = used(continued, "Hi", client=client)
    with claim(continued, "Hi", "Roll!", client=client) as busy:
        assert busy.instance is first
        assert used(continued, "Hi", "Title?", client=client) is not first
        busy.release()
        with claim(continued, "Hi", "Roll!", "Again!", client=client) as following:
            assert following.instance is first
            busy.release()
            assert used(continued, "Hi", "Roll!", "Stop!", client=client) is not first


def test_results_of_a_call_find_the_instance() -> None:
    """A request that ends with the results of the client's calls goes on, whatever others have sent."""
    continued = ContinuedConversations(10, 60)
    with claim(continued, "Hi") as first:
        first.keep(MIXED)
    used(continued, "Hi")
    assert continued.claim(CLIENT, Dialogue.of([message("Hi"), *REST]), instance).instance is first.instance


def test_a_conversation_without_words_of_the_user_is_new() -> None:
    """Requests with system messages alone share nothing."""
    continued = ContinuedConversations(10, 60)
    dialogue = Dialogue.of([message("Rhyme.", "system")])
    with continued.claim(CLIENT, dialogue, instance) as one, continued.claim(CLIENT, dialogue, instance) as two:
        assert one.instance is not two.instance
    assert len({used(continued, "Hi"), one.instance, two.instance}) == 3


@pytest.mark.parametrize(
    ("policy", "stays", "goes_on"),
    [
        ("close", True, False),
        ("close_affected", True, True),
        ("close_affected", False, False),
        ("follow", True, True),
        ("follow", False, False),
        ("keep", False, True),
    ],
)
def test_a_reload_treats_the_state_as_that_of_sessions(policy: SessionPolicy, stays: bool, goes_on: bool) -> None:
    """It goes on with a character that stays, under `keep` with any; a running request keeps its instance."""
    continued = ContinuedConversations(10, 60)
    with claim(continued, "Hi") as first:
        character = first.instance.character
        continued.follow("default", policy, CharacterSet("", 2, {"Ada": character if stays else make_character()}))
    assert first.instance.character is character
    assert (used(continued, "Hi", "Roll!") is first.instance) == goes_on


def test_the_number_of_conversations_is_bounded() -> None:
    """Beyond the limit those go that were not used for longest."""
    continued = ContinuedConversations(3, 60)
    first = used(continued, "Hi")
    for text in ("a", "b", "c"):
        used(continued, text)
    assert used(continued, "Hi", "Roll!") is not first


def test_a_conversation_expires() -> None:
    """After its time it is not found."""
    continued = ContinuedConversations(10, 0)
    assert used(continued, "Hi") is not used(continued, "Hi", "Roll!")
