"""ResponseBuilder: how the pieces of a response become items and events."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from charhost.conversation.history import History
from charhost.conversation.items import FunctionCall, FunctionOutput, Message
from charhost.conversation.response_builder import ResponseBuilder
from charhost.conversation.turn_events import ItemAdded, ItemDone, TurnEvent
from charhost.llm.model import CallDelta, Delta, ModelError
from tests.scripted import call, message


@pytest.fixture
def history() -> History:
    """An empty history."""
    return History()


@pytest.fixture
def builder(history: History) -> ResponseBuilder:
    """A builder whose own tools begin with `own`."""
    return ResponseBuilder(history, lambda name: name.startswith("own"))


def piece(arguments: str, index: int = 0) -> Delta:
    """More arguments."""
    return Delta(calls=(CallDelta(index, None, None, arguments),))


def summary(events: Iterable[TurnEvent]) -> list[tuple[str, int, str]]:
    """Return the events in short: kind, item, and text or status."""
    return [(type(e).__name__, e.index, e.text if hasattr(e, "text") else e.item.status) for e in events]  # type: ignore[union-attr]


def taken(builder: ResponseBuilder, *deltas: Delta) -> list[tuple[str, int, str]]:
    """Return the events of a whole response."""
    events = [event for delta in deltas for event in builder.add(delta)]
    return summary([*events, *builder.close()])


def test_words_are_a_message(builder: ResponseBuilder, history: History) -> None:
    """Words begin a message, go on with it, and are in the history when it is closed."""
    assert taken(builder, Delta("Hel"), Delta("lo")) == [
        ("ItemAdded", 0, "in_progress"),
        ("TextDelta", 0, "Hel"),
        ("TextDelta", 0, "lo"),
        ("ItemDone", 0, "completed"),
    ]
    (found,) = history
    assert isinstance(found, Message)
    assert (found.role, found.text, found.status, builder.shown) == ("assistant", "Hello", "completed", (found,))


def test_nothing_is_nothing(builder: ResponseBuilder, history: History) -> None:
    """A piece without words or calls begins no item."""
    assert taken(builder, Delta(), Delta(finish="stop")) == []
    assert (list(history), builder.shown) == ([], ())


def test_call_of_the_client(builder: ResponseBuilder, history: History) -> None:
    """A call for the client is sent piece by piece."""
    assert taken(builder, call("roll", '{"n"'), piece(": 2}")) == [
        ("ItemAdded", 0, "in_progress"),
        ("ArgumentsDelta", 0, '{"n"'),
        ("ArgumentsDelta", 0, ": 2}"),
        ("ItemDone", 0, "completed"),
    ]
    (made,) = history
    assert isinstance(made, FunctionCall)
    assert (made.call_id, made.name, made.arguments, made.hidden) == ("call_1", "roll", '{"n": 2}', False)
    assert builder.calls == [made]


def test_call_without_arguments(builder: ResponseBuilder) -> None:
    """Arguments that the model does not write are an empty object, also in the events."""
    assert taken(builder, call("roll", ""))[1:] == [("ArgumentsDelta", 0, "{}"), ("ItemDone", 0, "completed")]
    assert builder.calls[0].arguments == "{}"


@pytest.mark.parametrize(("written", "arguments"), [('{"n": 2}', '{"n": 2}'), ("", "{}")])
def test_own_call_is_invisible(builder: ResponseBuilder, history: History, written: str, arguments: str) -> None:
    """A call that the server runs is kept for the model, and causes no events, also without arguments."""
    assert taken(builder, call("own", ""), piece(written)) == []
    (made,) = history
    assert isinstance(made, FunctionCall)
    assert (made.hidden, made.arguments, builder.shown, builder.calls) == (True, arguments, (), [made])


def test_words_then_call(builder: ResponseBuilder, history: History) -> None:
    """The message is closed before the call begins, and the call is the second item."""
    events = taken(builder, Delta("Let me see."), call("roll"))
    assert [event[:2] for event in events] == [
        ("ItemAdded", 0),
        ("TextDelta", 0),
        ("ItemDone", 0),
        ("ItemAdded", 1),
        ("ArgumentsDelta", 1),
        ("ItemDone", 1),
    ]
    assert builder.shown == tuple(history)


def test_words_and_call_in_one_piece(builder: ResponseBuilder) -> None:
    """A piece with text and a call yields the text first."""
    both = Delta("Let me see.", call("roll").calls)
    assert [event[0] for event in taken(builder, both)][:4] == ["ItemAdded", "TextDelta", "ItemDone", "ItemAdded"]


def test_index_passes_over_what_is_hidden(builder: ResponseBuilder) -> None:
    """Clients count only the items that they see."""
    events = taken(builder, Delta("a"), call("own"), call("roll", call_id="call_2", index=1))
    assert {event[1] for event in events} == {0, 1}


def test_previous_item_is_one_that_is_seen(builder: ResponseBuilder, history: History) -> None:
    """What is before the item of an event is visible."""
    history.append(message("Hello?"))
    events = [*builder.add(call("own")), *builder.add(call("roll", "", index=1)), *builder.close()]
    (question,) = [item for item in history if isinstance(item, Message)]
    items = [event.item for event in events if isinstance(event, (ItemAdded, ItemDone))]
    assert [history.before(item.id) for item in items] == [question.id, question.id]


def test_one_index_for_all_calls(builder: ResponseBuilder) -> None:
    """Some servers give each call the index 0: a new id begins a new call."""
    taken(builder, call("own", "{}", "call_1"), call("own", '{"n": 2}', "call_2"))
    assert [(made.call_id, made.arguments) for made in builder.calls] == [("call_1", "{}"), ("call_2", '{"n": 2}')]


@pytest.mark.parametrize(
    "deltas",
    [
        [piece("{}")],
        [Delta("words"), piece("{}")],
        [call("roll"), piece("{}", index=1)],
        [call("roll"), call("own", index=1), piece("{}", index=0)],
        [call("roll"), Delta("words"), piece("{}")],
        [Delta(calls=(CallDelta(0, "call_1", None, ""),))],
        [Delta(calls=(CallDelta(0, None, "roll", ""),))],
    ],
    ids=["no call", "a message", "unknown index", "closed call", "words between", "no name", "no id"],
)
def test_piece_that_fits_nowhere(builder: ResponseBuilder, deltas: list[Delta]) -> None:
    """Arguments without a call are the model's mistake."""
    with pytest.raises(ModelError, match="mixed up its tool calls") as caught:
        taken(builder, *deltas)
    assert caught.value.error_type == "malformed"


def test_calls_that_are_written_at_the_same_time(builder: ResponseBuilder) -> None:
    """Parallel calls are sent one after the other, each with its own arguments."""
    deltas = call("roll", '{"x":'), call("roll", '{"y":', "call_2", 1), piece("1}"), piece("2}", 1)
    assert [event for event in taken(builder, *deltas) if event[0] == "ArgumentsDelta"] == [
        ("ArgumentsDelta", 0, '{"x":'),
        ("ArgumentsDelta", 0, "1}"),
        ("ArgumentsDelta", 1, '{"y":'),
        ("ArgumentsDelta", 1, "2}"),
    ]
    assert [made.arguments for made in builder.calls] == ['{"x":1}', '{"y":2}']


def test_many_pieces_of_parallel_calls(builder: ResponseBuilder) -> None:
    """Calls in alternating pieces are put together in one pass; to look through them for each would take hours."""
    first, second = piece("1,"), piece("2,", 1)
    started = time.monotonic()
    taken(builder, call("roll", '{"x":['), call("roll", '{"y":[', "call_2", 1), *[first, second] * 50_000)
    assert [len(item.arguments) for item in builder.items if isinstance(item, FunctionCall)] == [100_006] * 2
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("of_call", [False, True])
def test_what_a_server_attaches_is_limited(builder: ResponseBuilder, of_call: bool) -> None:
    """Of a response with more than four megabytes of such fields none is kept."""
    fields = {"blocks": [{"index": 0, "text": "a" * 1_000}]}
    for number in range(5_000):
        piece = CallDelta(0, None, None, "", fields) if of_call else None
        first = CallDelta(0, "call_1", "roll", "{}", fields if of_call else None)
        calls = (first,) if number == 0 else (piece,) if piece else ()
        list(builder.add(Delta(calls=calls, attached=None if of_call else fields)))
    list(builder.close())
    assert [item.attached for item in builder.items] == [None]


def test_words_between_parallel_calls_keep_their_place(builder: ResponseBuilder) -> None:
    """What waits for the first call comes in the order in which it was written."""
    deltas = [
        call("roll", '{"x":'),
        Delta("one"),
        call("roll", "{}", "call_2", 1),
        Delta("two"),
        call("roll", "{}", "call_3", 2),
        piece("1}"),
    ]
    taken(builder, *deltas)
    texts = [item.text if isinstance(item, Message) else item.call_id for item in builder.shown]
    assert texts == ["call_1", "one", "call_2", "two", "call_3"]


def test_words_in_the_middle_of_a_call_come_after_it(builder: ResponseBuilder) -> None:
    """A call is sent whole before the text that was written beside it."""
    items = [event[:2] for event in taken(builder, call("roll", '{"x":'), Delta("So."), piece("1}"))]
    assert items == [
        *[("ItemAdded", 0), ("ArgumentsDelta", 0), ("ArgumentsDelta", 0), ("ItemDone", 0)],
        *[("ItemAdded", 1), ("TextDelta", 1), ("ItemDone", 1)],
    ]


def test_call_of_an_earlier_round_cannot_go_on(builder: ResponseBuilder) -> None:
    """Each round numbers its calls from zero, and has calls of its own."""
    taken(builder, call("own"))
    builder.begin_round()
    assert builder.calls == []
    with pytest.raises(ModelError):
        taken(builder, piece("{}"))


# Cut


def test_cut_message_stays(builder: ResponseBuilder, history: History) -> None:
    """The text up to the cut stays in the history, as incomplete."""
    events = [*builder.add(Delta("Hel")), *builder.close("incomplete")]
    assert summary(events)[-1] == ("ItemDone", 0, "incomplete")
    assert [(found.text, found.status) for found in history if isinstance(found, Message)] == [("Hel", "incomplete")]


def test_cut_call_of_the_client(builder: ResponseBuilder, history: History) -> None:
    """A call that was cut off is shown as incomplete, and is not run."""
    events = [*builder.add(call("roll", '{"n"')), *builder.close("incomplete")]
    assert summary(events)[-1] == ("ItemDone", 0, "incomplete")
    assert ([item.status for item in history], builder.calls) == (["incomplete"], [])


def test_cut_own_call_never_happened(builder: ResponseBuilder, history: History) -> None:
    """A call of the server's own that was cut off leaves nothing."""
    events = [*builder.add(call("own", '{"n"')), *builder.close("incomplete")]
    assert (events, list(history), builder.items, builder.calls) == ([], [], [], [])


def test_closing_twice(builder: ResponseBuilder) -> None:
    """A second close changes nothing."""
    taken(builder, Delta("Hello"))
    assert list(builder.close("incomplete")) == []
    assert builder.shown[0].status == "completed"


def test_close_that_was_interrupted(builder: ResponseBuilder, history: History) -> None:
    """A close whose reader stopped in the middle can be repeated, so that no item stays in progress."""
    assert len(list(builder.add(call("roll", "")))) == 1
    next(iter(closing := builder.close()))
    closing.close()  # type: ignore[attr-defined]
    assert [event[0] for event in summary(builder.close("incomplete"))] == ["ItemDone"]
    assert [item.status for item in history] == ["incomplete"]


def test_item_that_was_removed_meanwhile(builder: ResponseBuilder, history: History) -> None:
    """An item that a client removes while it is in progress is not added again at its end."""
    list(builder.add(Delta("Hel")))
    history.remove(builder.shown[0].id)
    assert summary(builder.close()) == [("ItemDone", 0, "completed")]
    assert list(history) == []


def test_answers_are_kept(builder: ResponseBuilder, history: History) -> None:
    """The results of the server's own calls follow them, in this turn and the next."""
    taken(builder, call("own"))
    output = FunctionOutput(call_id="call_1", output="4", hidden=True)
    builder.add_outputs([output])
    assert builder.items == list(history)
    assert builder.items[1:] == [output]
