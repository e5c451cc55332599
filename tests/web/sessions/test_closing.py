"""How a session ends: turns finish or are cut, commands end, and then the client is sent away."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import aclosing

import pytest

from charhost.web.sessions.close_message import GOING_AWAY, CloseMessage
from charhost.web.sessions.session import Session
from tests.scripted import ScriptedModel
from tests.web.sessions.parts import BYE, Line, session, settled, turns, under_way

# Draining


async def test_a_session_in_a_turn_is_let_finish() -> None:
    """The close message waits for a running turn, which ends as it would have (promise 28)."""
    line, go = Line(), asyncio.Event()
    talk = session(line, ["Once", go, " upon."])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        talk.closing.leave(BYE, 5, drain=60)
        await turns()
        assert (talk.closing.is_ending, talk.closing.reason, codes) == (True, None, [])
        go.set()
        await talk.outbox.pump(talk.ws)
    assert (codes, talk.closing.reason, talk.closing.end_of_turn) == (["completed"], "reload", "drained")
    assert line.sent == ["completed", (1012, b"Bye", False)]


async def test_at_the_deadline_the_turn_is_cut() -> None:
    """A turn that takes longer than the drain is ended as without one (promise 28)."""
    talk = session(Line(), [asyncio.Event()])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        talk.closing.leave(CloseMessage(1012, "Bye", "reload", cut="characters_reloaded"), 5, drain=0.01)
        await talk.outbox.pump(talk.ws)
    assert (codes, talk.closing.end_of_turn) == (["characters_reloaded"], "cut")


@pytest.mark.parametrize("drain", [0, 60])
async def test_a_session_without_a_turn_leaves_at_once(drain: float) -> None:
    """Without a turn there is nothing to wait for, and nothing to count."""
    talk = session(Line())
    talk.closing.leave(BYE, 5, drain)
    assert (talk.closing.reason, talk.closing.end_of_turn) == ("reload", None)


async def test_all_turns_are_let_finish() -> None:
    """The close message waits for the last of several turns (promise 28)."""
    gates = [asyncio.Event(), asyncio.Event()]
    talk = session(Line())
    talk.conversation.shared.models = ScriptedModel([gates[0]], [gates[1]])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        first, second = await under_way(talk, tasks), await under_way(talk, tasks)
        talk.closing.leave(BYE, 5, drain=60)
        gates[0].set()
        await settled(lambda: first)
        await turns()
        assert talk.closing.reason is None
        gates[1].set()
        await talk.outbox.pump(talk.ws)
    assert second == ["completed"]


async def test_shutdown_does_not_wait_for_a_drain() -> None:
    """A close without a drain ends a draining session with the message of that close."""
    line = Line()
    talk = session(line, [asyncio.Event()])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        talk.closing.leave(BYE, 5, drain=60)
        talk.closing.leave(GOING_AWAY, 5, drain=0)
        await talk.outbox.pump(talk.ws)
    assert (codes, talk.closing.reason, talk.closing.end_of_turn) == (["server_shutdown"], "shutdown", "cut")
    assert line.sent == ["failed", (1001, b"Server is shutting down", False)]


async def test_a_client_that_leaves_during_a_drain_was_not_drained() -> None:
    """A client that leaves during a drain is not counted as drained."""
    talk = session(Line(), [asyncio.Event()])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        await under_way(talk, tasks)
        talk.closing.leave(BYE, 5, drain=60)
        talk.drop_work()
    await turns()
    assert (talk.closing.reason, talk.closing.end_of_turn) == (None, None)


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_drain_releases_an_ended_session(leaves: bool) -> None:
    """A session that ends before the deadline of its drain is released, with the build of its character."""
    go = asyncio.Event()
    talk = session(Line(), [go])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        await under_way(talk, tasks)
        talk.closing.leave(BYE, 0.01, drain=3600)
        talk.drop_work() if leaves else go.set()
    ref = weakref.ref(talk)
    del talk
    async with asyncio.timeout(60):
        while ref() is not None:  # the grace of the close message passes
            await asyncio.sleep(0.01)
            gc.collect()
    assert ref() is None


async def test_an_answer_that_was_finished_is_not_cut() -> None:
    """A close message between the last event of a turn and the end of its task finds nothing to cut."""
    talk, passed = session(Line()), asyncio.Event()
    turn = talk.conversation.respond()

    async def pass_events() -> None:
        async with aclosing(turn.events()) as events:
            async for _ in events:
                pass
        talk.closing.close(BYE, 5)
        passed.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        talk.work.begin(turn, pass_events(), tasks)
        await passed.wait()
    assert talk.closing.end_of_turn is None


# Commands


def command(talk: Session, tasks: asyncio.TaskGroup) -> asyncio.Event:
    """Start a command of the session, whose response is sent when the event is set."""
    done = asyncio.Event()

    async def run() -> None:
        await done.wait()
        talk.send("answer")

    talk.work.run(run(), tasks)
    return done


@pytest.mark.parametrize("drain", [0, 60])
async def test_a_close_message_comes_after_the_answer_to_a_command(drain: float) -> None:
    """A command is not cut: its response is sent before the close message, and does not count as drained."""
    line = Line()
    talk = session(line)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        done = command(talk, tasks)
        talk.closing.leave(BYE, 5, drain)
        await turns()
        assert (talk.closing.reason, talk.work.commands) == ("reload", 1)
        done.set()
        await talk.outbox.pump(talk.ws)
    assert (line.sent, talk.closing.end_of_turn) == (["answer", (1012, b"Bye", False)], None)


async def test_a_close_message_comes_after_the_last_of_several_commands() -> None:
    """As long as one is under way, the client is not sent away."""
    line = Line()
    talk = session(line)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        first, second = command(talk, tasks), command(talk, tasks)
        talk.closing.close(BYE, 5)
        second.set()
        await settled(lambda: talk.work.commands == 1)
        first.set()
        await talk.outbox.pump(talk.ws)
    assert line.sent == ["answer", "answer", (1012, b"Bye", False)]


async def test_a_close_message_comes_after_answers_and_commands() -> None:
    """A turn is cut at once, and the close message is sent last."""
    line = Line()
    talk = session(line, [asyncio.Event()])
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        done = command(talk, tasks)
        talk.closing.close(CloseMessage(1012, "Bye", "reload", cut="characters_reloaded"), 5)
        await settled(lambda: codes)
        done.set()
        await talk.outbox.pump(talk.ws)
    assert (codes, line.sent) == (["characters_reloaded"], ["failed", "answer", (1012, b"Bye", False)])


async def test_no_client_is_cut_off_during_a_command() -> None:
    """The time to take the close message begins when it can be sent."""
    line = Line()
    talk = session(line)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        done = command(talk, tasks)
        talk.closing.close(BYE, 0)
        await turns()
        assert not line.aborted
        done.set()
        await settled(lambda: line.aborted)


async def test_a_stuck_client_is_disconnected_after_the_command() -> None:
    """A client that reads neither the response nor the close message is disconnected."""
    line = Line()
    talk = session(line)

    async def pass_events() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        talk.work.begin(talk.conversation.respond(), pass_events(), tasks)
        done = command(talk, tasks)
        talk.closing.close(BYE, 0)
        done.set()
        await settled(lambda: line.aborted)
        talk.drop_work()
    assert (line.sent, line.aborted) == ([], True)


async def test_commands_of_a_client_that_left_are_dropped() -> None:
    """The commands of a client that left are not waited for, and its close message is not sent."""
    line = Line()
    talk = session(line)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        command(talk, tasks)
        talk.closing.close(BYE, 5)
        talk.drop_work()
    await turns()
    assert (talk.work.commands, len(talk.outbox._frames)) == (0, 0)


# Many at once


async def test_a_held_session_is_let_go_of_when_it_is_released() -> None:
    """Nothing is read from a session while it is held, and it is not let go of before it is released."""
    talk = session(line := Line())
    talk.closing.hold()
    letting_go = asyncio.create_task(talk.closing.released())
    await turns()
    assert (letting_go.done(), line.is_read) == (False, False)
    talk.closing.release()
    await asyncio.wait_for(letting_go, 60)
    assert line.is_read


async def test_the_connection_of_a_held_session_is_lost_when_it_is_released() -> None:
    """The end of a held connection is passed on when it is released, and that of any other at once."""
    talk, lost = session(Line()), list[str]()
    talk.closing.hold()
    talk.closing.when_released(lambda: lost.append("held"))
    assert lost == []
    talk.closing.release()
    talk.closing.when_released(lambda: lost.append("free"))
    assert lost == ["held", "free"]


async def test_a_session_that_is_not_held_is_let_go_of_at_once() -> None:
    """A session that is closed by itself waits for no other."""
    await asyncio.wait_for(session(Line()).closing.released(), 60)
