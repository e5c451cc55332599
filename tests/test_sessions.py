"""Sessions and how they end; what clients see of it is in test_realtime.py."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from charhost.attempt import Swap
from charhost.character import CharacterSet
from charhost.metrics import Metrics
from charhost.progress import TurnEnded
from charhost.report import SessionImpact
from charhost.settings import SessionPolicy, Settings
from charhost.web.farewell import Farewell
from charhost.web.keys import MANAGER, SESSIONS
from charhost.web.session import MOST_WAITING_FRAMES, Session
from charhost.web.sessions import Sessions
from tests.conftest import Client, character
from tests.scripted import ScriptedModel, Step, cast, house

BYE = Farewell(1012, "Bye", "reload")


class Line:
    """A socket and its transport at once: remembers what was written, and can be made to block."""

    def __init__(self) -> None:
        self.transport = self
        self.sent: list[Any] = []
        self.aborted = False
        self.free = asyncio.Event()
        self.free.set()

    async def send_str(self, frame: str) -> None:
        await self.free.wait()
        self.sent.append(frame)

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        self.sent.append((code, message, drain))

    def abort(self) -> None:
        self.aborted = True
        self.free.set()


def session(line: Line, script: Sequence[Step] = (), generation: int = 1) -> Session:
    """A session on that line; its model says what the script says."""
    request: Any = line
    ws: Any = line
    conversation = house(ScriptedModel(script)).open(cast(name="Ada"), "realtime")
    return Session(request, ws, conversation, generation)


def swap(policy: SessionPolicy = "close", directory: str = "/d") -> Swap:
    """A swap with that policy."""
    return Swap(CharacterSet("/before"), CharacterSet(directory, 2), policy)


@pytest.fixture
def sessions() -> Sessions:
    """The sessions of an application, none yet."""
    return Sessions(Settings(close_grace=0.05), Metrics())


# Farewell


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("letter", ["e", "é", "語", "🦜"])
def test_a_reason_is_cut_between_letters(shift: int, letter: str) -> None:
    """A close frame holds 123 bytes of reason; the cut never goes through a letter."""
    reason = "x" * shift + letter * 200
    cut = Farewell(1012, reason, "reload").close_reason
    assert reason.startswith(cut.decode("utf-8"))
    assert 123 - len(letter.encode()) < len(cut) <= 123


def test_a_short_reason_is_left_alone() -> None:
    """What fits is not cut."""
    assert Farewell(1012, "é" * 61 + "x", "reload").close_reason == ("é" * 61 + "x").encode()


def test_a_reason_that_is_no_text_can_be_sent() -> None:
    """A name with stray bytes becomes something that a close frame may carry."""
    assert Farewell(1012, "caf\udce9", "reload").close_reason.decode("utf-8").startswith("caf")


# Session


async def test_frames_leave_in_order_and_the_close_comes_last() -> None:
    """The farewell travels behind what was queued, its event before its close frame."""
    line = Line()
    talk = session(line)
    talk.send("one")
    talk.send("two")
    talk.close(Farewell(1012, "Bye", "reload", "fatal"), 5)
    await asyncio.wait_for(talk.pump(), 20)
    assert line.sent == ["one", "two", "fatal", (1012, b"Bye", False)]


async def test_nothing_is_sent_after_the_farewell() -> None:
    """What is queued behind the close is not written any more."""
    line = Line()
    talk = session(line)
    talk.close(BYE, 5)
    talk.send("late")
    await asyncio.wait_for(talk.pump(), 20)
    assert line.sent == [(1012, b"Bye", False)]


async def test_the_close_does_not_wait_for_a_client_that_does_not_read() -> None:
    """aiohttp is told not to drain: it would wait without a limit."""
    line = Line()
    talk = session(line)
    talk.close(BYE, 5)
    await asyncio.wait_for(talk.pump(), 20)
    assert line.sent[-1][-1] is False


async def test_the_first_farewell_counts() -> None:
    """A session that is being closed is not closed again, nor is its reason replaced."""
    line = Line()
    talk = session(line)
    talk.close(BYE, 5)
    talk.close(Farewell(1001, "Gone", "shutdown"), 5)
    await asyncio.wait_for(talk.pump(), 20)
    assert (line.sent, talk.ended_by) == ([(1012, b"Bye", False)], "reload")


async def test_an_outbox_has_a_bound() -> None:
    """A client that does not read is cut off when its frames fill the queue, and not before."""
    line = Line()
    talk = session(line)
    for _ in range(MOST_WAITING_FRAMES):
        talk.send("frame")
    assert not line.aborted
    talk.send("one too many")
    assert (line.aborted, talk.ended_by) == (True, "overflow")


async def test_a_farewell_that_finds_the_outbox_full_cuts_the_line() -> None:
    """Who could not even be told is cut off at once, for the reason of the farewell."""
    line = Line()
    talk = session(line)
    for _ in range(MOST_WAITING_FRAMES):
        talk.send("frame")
    talk.close(BYE, 5)
    assert (line.aborted, talk.ended_by) == (True, "reload")


async def test_who_does_not_take_the_farewell_is_cut_off() -> None:
    """After the grace the connection is aborted, whatever the pump waits for."""
    line = Line()
    line.free.clear()
    talk = session(line)
    talk.close(Farewell(1012, "Bye", "reload", "fatal"), 0.01)
    await asyncio.wait_for(talk.pump(), 20)
    assert line.aborted


async def under_way(talk: Session, tasks: asyncio.TaskGroup) -> list[str]:
    """A turn that waits for its model, told as the codes with which it ends; this waits until it has begun."""
    turn, codes = talk.conversation.respond(), list[str]()
    began = asyncio.Event()

    async def tell() -> None:
        began.set()
        async with aclosing(turn.events()) as events:
            async for event in events:
                if isinstance(event, TurnEnded):
                    codes.append(event.failure.code if event.failure else event.outcome)
                    talk.send(event.outcome)

    talk.begin(turn, tell(), tasks)
    await began.wait()
    return codes


async def test_turns_end_before_the_farewell() -> None:
    """What is under way fails with the reason of the farewell, and the client is told so before it."""
    line = Line()
    talk = session(line, [asyncio.Event()])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        talk.close(Farewell(1012, "Bye", "reload", "fatal", "characters_reloaded"), 5)
        await talk.pump()
    assert codes == ["characters_reloaded"]
    assert line.sent == ["failed", "fatal", (1012, b"Bye", False)]


async def test_turns_of_a_client_that_left_are_dropped() -> None:
    """Where nobody is left to tell, what is under way is just given up."""
    talk = session(Line(), [asyncio.Event()])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        codes = await under_way(talk, tasks)
        assert len(talk.turns) == 1
        talk.drop_turns()
    assert (codes, len(talk.turns)) == ([], 0)


async def test_whoever_tells_much_waits_for_room() -> None:
    """Beyond a quarter of the queue there is no room, until the client has taken most of it."""
    line = Line()
    talk = session(line)
    for _ in range(65):
        talk.send("frame")
    waiting = asyncio.create_task(talk.room())
    await turns()
    assert (talk.is_crowded, waiting.done()) == (True, False)
    pump = asyncio.create_task(talk.pump())
    await asyncio.wait_for(waiting, 20)
    assert not talk.is_crowded
    pump.cancel()


async def test_one_frame_less_is_not_room_yet() -> None:
    """Whoever is woken because a frame left looks again: others may have filled its place."""
    talk = session(Line())
    for _ in range(66):
        talk.send("frame")
    waiting = asyncio.create_task(talk.room())
    await turns()
    talk._taken.set()
    await turns()
    assert not waiting.done()
    waiting.cancel()


async def test_there_is_room_for_a_few() -> None:
    """Up to a quarter of the queue nobody waits."""
    talk = session(Line())
    for _ in range(64):
        talk.send("frame")
    await asyncio.wait_for(talk.room(), 20)


async def test_a_fault_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of charhost's own closes with 1011, says nothing of itself to the client, and all to the log."""
    line = Line()
    talk = session(line)
    try:
        raise RuntimeError("s3cret")
    except RuntimeError:
        talk.fail(5)
    await asyncio.wait_for(talk.pump(), 20)
    event, (code, *_) = line.sent
    assert (code, json.loads(event)["error"]["code"], talk.ended_by) == (1011, "internal_error", "fault")
    assert ("s3cret" in caplog.text, "s3cret" in event) == (True, False)


async def test_a_choice_is_made_once() -> None:
    """A client chooses its character once; a name that is none is a choice as well."""
    for first, expected in (("Bob", "Bob"), (None, "Ada"), ("gpt-realtime", "Ada")):
        talk = session(Line())
        talk.choices = CharacterSet("/d", 1, {"Bob": cast(name="Bob"), "Eve": cast(name="Eve")})
        talk.choose(first)
        talk.choose("Eve")
        assert talk.character.name == expected


async def test_aborting_a_lost_connection_does_nothing() -> None:
    """A connection that is gone has no transport any more."""
    line: Any = Line()
    line.transport = None
    session(line).abort("overflow")
    assert not line.aborted


# Sessions


async def test_open_sessions_are_counted(sessions: Sessions) -> None:
    """A session counts while it is registered, under the generation it began with."""
    with sessions.register(session(Line(), generation=1)), sessions.register(session(Line(), generation=2)):
        with sessions.register(session(Line(), generation=2)):
            assert len(sessions) == 3
            assert [(count.generation, count.sessions) for count in sessions.by_generation()] == [(2, 2), (1, 1)]
        assert len(sessions) == 2
    assert (len(sessions), sessions.by_generation()) == (0, [])


async def test_a_session_that_fails_is_forgotten_too(sessions: Sessions) -> None:
    """However the block ends, the session is not open any more."""
    with pytest.raises(RuntimeError), sessions.register(session(Line())):
        raise RuntimeError
    assert len(sessions) == 0


def test_there_is_a_limit() -> None:
    """So many at a time have a place, from the handshake on; a place that is left is free again."""
    sessions = Sessions(Settings(close_grace=0.05, max_sessions=1), Metrics())
    with sessions.admitted() as first:
        with sessions.admitted() as second:
            assert (first, second) == (True, False)
        with sessions.admitted() as third:
            assert not third
    with sessions.admitted() as fourth:
        assert fourth


async def test_a_session_registered_during_shutdown_is_closed(sessions: Sessions) -> None:
    """Who comes in between is told like the others."""
    await sessions.close()
    late = session(Line())
    with sessions.register(late):
        assert late.ended_by == "shutdown"


@pytest.mark.parametrize(("policy", "affected"), [("close", 2), ("keep", 0)])
async def test_the_impact_of_a_swap_is_known_before_it(
    sessions: Sessions, policy: SessionPolicy, affected: int
) -> None:
    """Whom a policy touches can be asked without touching anybody."""
    with sessions.register(session(Line())), sessions.register(untouched := session(Line())):
        assert sessions.impact(swap(policy)) == SessionImpact(policy=policy, total=2, affected=affected)
        assert untouched.ended_by is None


async def test_follow_returns_before_anybody_is_told(sessions: Sessions) -> None:
    """Whoever asked for the reload gets the answer first."""
    talk = session(Line())
    with sessions.register(talk):
        sessions.follow(swap())
        assert talk.ended_by is None
        await settled(lambda: talk.ended_by)
        assert talk.ended_by == "reload"


async def test_follow_tells_only_those_who_were_there(sessions: Sessions) -> None:
    """A session that is opened after the swap is on the new set and is left alone."""
    old, new = session(Line()), session(Line())
    with sessions.register(old):
        sessions.follow(swap())
        with sessions.register(new):
            await settled(lambda: old.ended_by)
            await turns()
            assert new.ended_by is None


async def test_keep_touches_nobody(sessions: Sessions) -> None:
    """Under `keep` a swap is no business of the sessions."""
    talk = session(Line())
    with sessions.register(talk):
        sessions.follow(swap("keep"))
        await turns()
        assert talk.ended_by is None


async def test_many_sessions_are_closed_in_batches(sessions: Sessions) -> None:
    """While thousands are told the loop serves others in between."""
    talks = [session(Line()) for _ in range(200)]
    contexts = [sessions.register(talk) for talk in talks]
    for context in contexts:
        context.__enter__()
    sessions.follow(swap())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told = sum(talk.ended_by is not None for talk in talks)
    assert 0 < told < 200
    await settled(lambda: all(talk.ended_by for talk in talks))
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(("count", "longest"), [(1, 0), (2, 5), (201, 1000)])
async def test_clients_come_back_two_hundred_in_a_second(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, count: int, longest: float
) -> None:
    """The time to come back is drawn from a range that grows with the number of clients."""
    ranges: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        ranges.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", uniform)
    talks = [session(Line()) for _ in range(count)]
    contexts = [sessions.register(talk) for talk in talks]
    for context in contexts:
        context.__enter__()
    sessions.follow(swap())
    await settled(lambda: all(talk.ended_by for talk in talks))
    assert ranges == [(0, longest)] * count
    for context in contexts:
        context.__exit__(None, None, None)


async def test_close_waits_until_everybody_is_gone(sessions: Sessions) -> None:
    """Shutdown goes on when the last session has ended."""
    talk = session(Line())
    with sessions.register(talk):
        closing = asyncio.create_task(sessions.close())
        await settled(lambda: talk.ended_by)
        await turns()
        assert not closing.done()
    await asyncio.wait_for(closing, 20)
    assert talk.ended_by == "shutdown"


async def test_close_without_sessions_returns(sessions: Sessions) -> None:
    """Where nobody is nobody is waited for."""
    await asyncio.wait_for(sessions.close(), 20)
    assert sessions.closing


async def turns() -> None:
    """Give everything else a chance to run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def settled(condition: Callable[[], object]) -> None:
    """Let the loop run until *condition* holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def test_a_session_that_was_told_stands_in_nobodys_way(client: Client, write: Callable[[str, str], Path]) -> None:
    """A client that has not left yet, and whose character is gone, does not disturb the next reload (promise 2)."""
    bob = write("bob.py", character("Bob"))
    await client.post("/v1/characters/reload", json={})
    async with client.ws_connect("/v1/realtime?model=Bob"):
        (session,) = client.app[SESSIONS]._live.values()
        session.ended_by = "reload"
        bob.unlink()
        for text in ("One.", "Two."):
            write("ada.py", character("Ada", text))
            answer = await client.post("/v1/characters/reload", json={"sessions": "close_affected"})
            assert (answer.status, (await answer.json())["sessions"]["affected"]) == (200, 0)


async def test_a_choice_is_made_from_the_current_set(client: Client, write: Callable[[str, str], Path]) -> None:
    """A client that chooses late, after a reload that left it alone, gets the character as it is now (promise 8)."""
    write("bob.py", character("Bob"))
    await client.post("/v1/characters/reload", json={})
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive_json()
        write("bob.py", character("Bob", "Be brief."))
        await client.post("/v1/characters/reload", json={"scope": "changed", "sessions": "close_affected"})
        await ws.send_json({"type": "session.update", "session": {"model": "Bob"}})
        await ws.receive_json(timeout=20)
        (session,) = client.app[SESSIONS]._live.values()
        assert session.character is client.app[MANAGER].current["Bob"]
