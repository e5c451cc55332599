"""The entries of a conversation, and the conversation that they make."""

from __future__ import annotations

import pytest

from charhost.fleet.engine.engine import Message
from charhost.fleet.signature import Signature
from charhost.fleet.talks.talk_log import MOST_PART, Content, Entry, Head, Kind, Talk, fold, parts, talk_subject
from charhost.resume.places import Edit
from tests.fleet.talks.helpers import SIGNATURE, said, saved, talk

SUBJECT = "talk.sess_1"
ONE, TWO = talk("one", "two")
BASE = Content.of(Head.of(saved([])), Edit.of({}, [ONE])).model_dump_json().encode()
CHANGE = Content.of(None, Edit.of({0: ONE}, [ONE, TWO])).model_dump_json().encode()


class Log:
    """The messages of a subject, each with the next sequence."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add(
        self,
        kind: Kind,
        content: bytes = b"",
        *,
        after: int | None = None,
        signature: Signature = SIGNATURE,
        **more: int,
    ) -> None:
        last = self.messages[-1].sequence if self.messages else 0
        entry = Entry(kind=kind, writer="n1", term=1, after=last if after is None else after, **more)
        self.messages.append(Message(last + 1, entry.record(signature, SUBJECT, content), 0.0))

    def fold(self) -> Talk:
        return fold(SIGNATURE, SUBJECT, self.messages)

    def words(self) -> list[str] | None:
        return said(self.fold().saved("sess_1"))


@pytest.fixture
def log() -> Log:
    log = Log()
    log.add("base", BASE)
    return log


def test_change_follows_its_base(log: Log) -> None:
    """A base has the whole conversation, and a change what is new since then."""
    log.add("change", CHANGE)
    assert (log.words(), log.fold().last, log.fold().count) == (["one", "two"], 2, 2)


def test_end_leaves_nothing(log: Log) -> None:
    """After its end there is no conversation, and a change brings none back."""
    log.add("end")
    log.add("change", CHANGE)
    assert log.words() is None


def test_entry_of_strangers_is_passed_over(log: Log) -> None:
    """An entry without the signature of the fleet changes nothing; its place is taken."""
    log.add("end", signature=Signature("another key", "charhost"))
    assert (log.words(), log.fold().last) == (["one"], 2)


def test_copied_entry_is_passed_over(log: Log) -> None:
    """An entry that does not follow the message before it was put there by a stranger."""
    log.add("change", CHANGE)
    log.add("end", after=1)
    assert log.words() == ["one", "two"]


def test_entry_may_have_several_parts(log: Log) -> None:
    """A change counts once all its parts are there."""
    log.add("change", CHANGE[:20], part=0, of=2)
    assert log.words() == ["one"]
    log.add("change", CHANGE[20:], part=1, of=2)
    assert log.words() == ["one", "two"]


def test_parts_of_an_interrupted_entry_are_dropped(log: Log) -> None:
    """Parts whose rest never came leave no trace in the entry after them."""
    log.add("change", CHANGE[:20], part=0, of=2)
    log.add("change", CHANGE)
    assert log.words() == ["one", "two"]


@pytest.mark.parametrize(("size", "count"), [(0, 1), (MOST_PART, 1), (MOST_PART + 1, 2)])
def test_long_content_is_cut(size: int, count: int) -> None:
    """No part is longer than a message may be, and all together are the content."""
    found = parts(bytes(size))
    assert (len(found), b"".join(found)) == (count, bytes(size))


@pytest.mark.parametrize("name", ["", "a.b", "*", ">", "a b", "é"])
def test_wildcard_is_no_name(name: str) -> None:
    """A name that would mean other conversations is refused."""
    with pytest.raises(ValueError, match="no name for a subject"):
        talk_subject(name)
