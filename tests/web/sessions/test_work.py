"""The running turns and commands of a session, and the call that waits for their end."""

from __future__ import annotations

import asyncio

from charhost.web.sessions.work import Work
from tests.scripted import ScriptedModel, make_character, make_conversations
from tests.web.sessions.parts import settled


async def begun(work: Work, tasks: asyncio.TaskGroup) -> asyncio.Event:
    """Begin a turn that ends when the returned event is set."""
    end = asyncio.Event()
    turn = make_conversations(ScriptedModel()).open(make_character(name="Ada"), "realtime").respond()

    async def send() -> None:
        await end.wait()

    work.begin(turn, send(), tasks)
    return end


async def test_a_call_waits_for_the_last_turn() -> None:
    """The call runs once, when the last of several turns has ended."""
    work, calls = Work(), list[str]()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        first, second = await begun(work, tasks), await begun(work, tasks)
        work.after_turns(lambda: calls.append("now"))
        first.set()
        await settled(lambda: len(work.turns) == 1)
        assert calls == []
        second.set()
    assert (calls, len(work.turns)) == (["now"], 0)


async def test_without_work_a_call_runs_at_once() -> None:
    """Where nothing is running, there is nothing to wait for."""
    work, calls = Work(), list[str]()
    work.after_turns(lambda: calls.append("turns"))
    work.after_commands(lambda: calls.append("commands"))
    assert calls == ["turns", "commands"]


async def test_a_call_after_turns_does_not_wait_for_commands() -> None:
    """Turns and commands are waited for separately."""
    work, calls, end = Work(), list[str](), asyncio.Event()

    async def command() -> None:
        await end.wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        work.run(command(), tasks)
        work.after_turns(lambda: calls.append("turns"))
        work.after_commands(lambda: calls.append("commands"))
        assert (calls, work.commands) == (["turns"], 1)
        end.set()
    assert (calls, work.commands) == (["turns", "commands"], 0)


async def test_a_later_call_replaces_the_one_that_waits() -> None:
    """One call waits at a time: the close message of a shutdown replaces that of a reload."""
    work, calls = Work(), list[str]()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        end = await begun(work, tasks)
        work.after_turns(lambda: calls.append("first"))
        work.after_turns(lambda: calls.append("second"))
        end.set()
    assert calls == ["second"]


async def test_a_cleared_call_does_not_run() -> None:
    """A client that has left is not sent the close message that waited."""
    work, calls = Work(), list[str]()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        end = await begun(work, tasks)
        work.after_turns(lambda: calls.append("now"))
        work.clear_call()
        end.set()
    assert calls == []


async def test_all_work_is_cancelled() -> None:
    """A cancelled turn and a cancelled command end without their events."""
    work = Work()

    async def command() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        await begun(work, tasks)
        work.run(command(), tasks)
        work.cancel()
    assert (len(work.turns), work.commands) == (0, 0)


async def test_a_command_that_is_cancelled_at_once_has_begun() -> None:
    """A command of this tick still starts, so that the reload it asks for is carried out."""
    work, begun = Work(), list[str]()

    async def command() -> None:
        begun.append("reload")
        await asyncio.Event().wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        work.run(command(), tasks)
        work.cancel_commands()
    assert begun == ["reload"]
