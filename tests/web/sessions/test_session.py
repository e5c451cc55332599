"""One session: its frames, its turns, its end and its reloads, on a fake socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from charhost.character.character import CharacterSet
from charhost.report import SessionPolicy
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.sessions.close_message import CloseMessage
from charhost.web.sessions.outbox import MOST_WAITING_FRAMES, abort
from charhost.web.sessions.session import Session
from tests.scripted import make_character
from tests.web.sessions.parts import BYE, Line, choices_of, session, swap_to, under_way, version


async def updates(talk: Session, line: Line) -> int:
    """Close the session and count the `session.updated` events that were sent before."""
    talk.closing.close(BYE, 5)
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    return sum(json.loads(frame)["type"] == "session.updated" for frame in line.sent[:-1])


# Frames


async def test_frames_leave_in_order_and_the_close_comes_last() -> None:
    """The close message is sent after the queued frames, its event before its close frame."""
    line = Line()
    talk = session(line)
    talk.send("one")
    talk.send("two")
    talk.closing.close(CloseMessage(1012, "Bye", "reload", "fatal"), 5)
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    assert line.sent == ["one", "two", "fatal", (1012, b"Bye", False)]


async def test_nothing_is_sent_after_the_close_message() -> None:
    """Frames that are queued after the close are not sent."""
    line = Line()
    talk = session(line)
    talk.closing.close(BYE, 5)
    talk.send("late")
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    assert line.sent == [(1012, b"Bye", False)]


async def test_the_close_does_not_wait_for_a_client_that_does_not_read() -> None:
    """aiohttp's close is called without draining, which would wait without a limit."""
    line = Line()
    talk = session(line)
    talk.closing.close(BYE, 5)
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    assert line.sent[-1][-1] is False


async def test_the_first_close_message_counts() -> None:
    """A session that is being closed is not closed again, nor is its reason replaced."""
    line = Line()
    talk = session(line)
    talk.closing.close(BYE, 5)
    talk.closing.close(CloseMessage(1001, "Gone", "shutdown"), 5)
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    assert (line.sent, talk.closing.reason) == ([(1012, b"Bye", False)], "reload")


async def test_a_close_message_that_finds_the_outbox_full_cuts_the_line() -> None:
    """With a full queue the connection is aborted, and counted by the reason of the close message."""
    line = Line()
    talk = session(line)
    for _ in range(MOST_WAITING_FRAMES):
        talk.send("frame")
    talk.closing.close(BYE, 5)
    assert (line.aborted, talk.closing.reason) == (True, "reload")


async def test_a_client_that_does_not_take_the_close_message_is_cut_off() -> None:
    """After the grace period the connection is aborted, whatever the pump waits for."""
    line = Line()
    line.free.clear()
    talk = session(line)
    talk.closing.close(CloseMessage(1012, "Bye", "reload", "fatal"), 0.01)
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    assert line.aborted


async def test_turns_end_before_the_close_message() -> None:
    """A turn in progress fails with the reason of the close message, and its end is sent before that message."""
    line = Line()
    talk = session(line, [asyncio.Event()])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        talk.closing.close(CloseMessage(1012, "Bye", "reload", "fatal", "characters_reloaded"), 5)
        await talk.outbox.pump(talk.ws)
    assert codes == ["characters_reloaded"]
    assert line.sent == ["failed", "fatal", (1012, b"Bye", False)]


async def test_turns_of_a_client_that_left_are_dropped() -> None:
    """The turns of a client that left are dropped."""
    talk = session(Line(), [asyncio.Event()])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        assert len(talk.work.turns) == 1
        talk.drop_work()
    assert (codes, len(talk.work.turns)) == ([], 0)


async def test_a_fault_is_sent_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error closes with 1011 without details, and is logged with them."""
    line = Line()
    talk = session(line)
    try:
        raise RuntimeError("s3cret")
    except RuntimeError:
        talk.fail()
    await asyncio.wait_for(talk.outbox.pump(talk.ws), 60)
    event, (code, *_) = line.sent
    assert (code, json.loads(event)["error"]["code"], talk.closing.reason) == (1011, "internal_error", "fault")
    assert ("s3cret" in caplog.text, "s3cret" in event) == (True, False)


async def test_a_choice_is_made_once() -> None:
    """A client chooses its character once; a name that is none is a choice as well."""
    for first, expected in (("Bob", "Bob"), (None, "Ada"), ("gpt-realtime", "Ada")):
        choices = CharacterSet("/d", 1, {"Bob": make_character(name="Bob"), "Eve": make_character(name="Eve")})
        talk = session(Line(), choices=choices_of(choices))
        talk.choose(first)
        talk.choose("Eve")
        assert talk.character.name == expected


async def test_aborting_a_lost_connection_does_nothing() -> None:
    """A connection that is gone has no transport any more."""
    line: Any = Line()
    line.transport = None
    abort(line)
    assert not line.aborted


# Going on


async def test_follow_goes_on_with_the_new_version() -> None:
    """After a follow the next turn has the new character, the client receives an event, and the session counts for the
    new set."""
    line, new = Line(), version(2)
    talk = session(line, character=version(1), settings=SessionConfig())
    assert talk.go_on(swap_to(new))
    assert (talk.character, talk.generation, await updates(talk, line)) == (new, 2, 1)


@pytest.mark.parametrize("policy", ["follow", "close_affected"])
async def test_an_equal_character_is_taken_without_a_word(policy: SessionPolicy) -> None:
    """An equal character replaces the old one without an event (promise 19)."""
    line, same = Line(), version(1)
    talk = session(line, character=version(1), settings=SessionConfig())
    assert not talk.go_on(swap_to(same, policy=policy))
    assert (talk.character, talk.generation, await updates(talk, line)) == (same, 2, 0)


async def test_keep_stays() -> None:
    """Under `keep` the session has the object that it had, of the generation that it was (promise 19)."""
    line, old = Line(), version(1)
    talk = session(line, settings=SessionConfig())
    talk.conversation.move_to(old)
    assert not talk.go_on(swap_to(version(2), policy="keep"))
    assert (talk.character, talk.generation, await updates(talk, line)) == (old, 1, 0)


async def test_a_session_without_a_dialect_follows_too() -> None:
    """A session with an unknown dialect has the new character, and receives no event."""
    talk, new = session(Line(), character=version(1)), version(2)
    assert talk.go_on(swap_to(new))
    assert talk.character is new


async def test_an_ending_session_does_not_go_on() -> None:
    """A draining or closing session does not follow."""
    old = version(1)
    closed, leaving = session(Line(), character=old), session(Line(), [asyncio.Event()], character=old)
    closed.closing.close(BYE, 5)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        await under_way(leaving, tasks)
        leaving.closing.leave(BYE, 5, drain=60)
        assert not any(talk.go_on(swap_to(version(2))) for talk in (closed, leaving))
        leaving.drop_work()
    assert (closed.character, leaving.character) == (old, old)


@pytest.mark.parametrize("policy", ["follow", "close_affected", "keep"])
async def test_the_choice_is_from_the_newest_set(policy: SessionPolicy) -> None:
    """A session without a choice chooses from the current set, and counts for its generation (promise 8)."""
    choices = choices_of(CharacterSet("/d", 1, {"Bob": version(1, "Bob")}))
    talk, bob = session(Line(), character=version(1), choices=choices), version(2, "Bob")
    swap = swap_to(version(1), bob, policy=policy)
    choices.named().manager._current = swap.after
    talk.go_on(swap)
    talk.choose("Bob")
    assert (talk.character, talk.generation) == (bob, 2)


async def test_the_choice_stays_made() -> None:
    """A swap does not give a client that has chosen a second choice."""
    talk = session(Line(), character=version(1))
    talk.go_on(swap_to(version(2), version(2, "Bob")))
    talk.choose("Bob")
    assert talk.character.name == "Ada"


# Whether a client may come back


@pytest.mark.parametrize(
    ("code", "may_return"), [(1000, False), (0, False), (1001, True), (1006, True), (1011, True), (None, True)]
)
def test_a_normal_close_ends_the_conversation(code: int | None, may_return: bool) -> None:
    """A normal close, also one without a code (aiohttp calls it 0), ends the conversation; a lost line does not."""
    line = Line()
    line.close_code = code
    assert session(line).may_return is may_return


@pytest.mark.parametrize("why", ["reload", "shutdown", "character_removed", "taken_over", "fault", "overflow"])
async def test_a_closed_session_can_be_resumed(why: str) -> None:
    """A session that the server closed can be resumed, whatever close frame its client sent."""
    line = Line()
    line.close_code = 1000
    talk = session(line)
    talk.closing.close(CloseMessage(4000, "Bye", why), 5)
    assert talk.may_return


async def test_an_ended_conversation_is_not_saved() -> None:
    """A conversation that the character has ended is not saved."""
    talk = session(Line())
    talk.closing.close(CloseMessage(1000, "Bye!", "goodbye"), 5)
    assert not talk.may_return
