"""The sessions of a server, and their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from charhost.character.character import CharacterSet
from charhost.metrics import Metrics
from charhost.reload.swap import Swap
from charhost.report import SessionImpact, SessionPolicy
from charhost.settings import Settings
from charhost.web.keys import SESSIONS, SETS
from charhost.web.sessions.close_message import ReloadCloseMessage
from charhost.web.sessions.session import Session
from charhost.web.sessions.sessions import Sessions
from tests.conftest import Client, character
from tests.web.sessions.parts import Line, session, settled, swap_to, turns, version


def swap(policy: SessionPolicy = "close", directory: str = "/d") -> Swap:
    """A swap with that policy."""
    return Swap(CharacterSet("/before"), CharacterSet(directory, 2), policy)


@pytest.fixture
def sessions() -> Sessions:
    """The sessions of an application, none yet."""
    return Sessions(Settings(close_grace=0.05), Metrics())


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
    """The number of sessions is limited, from the handshake on, and an ended session frees its place."""
    sessions = Sessions(Settings(close_grace=0.05, max_sessions=1), Metrics())
    with sessions.admitted() as first:
        with sessions.admitted() as second:
            assert (first, second) == (True, False)
        with sessions.admitted() as third:
            assert not third
    with sessions.admitted() as fourth:
        assert fourth


async def test_a_session_registered_during_shutdown_is_closed(sessions: Sessions) -> None:
    """A session that is registered during a shutdown is closed."""
    await sessions.close()
    late = session(Line())
    with sessions.register(late):
        assert late.closing.reason == "shutdown"


@contextmanager
def registered(sessions: Sessions, *talks: Session) -> Iterator[Sequence[Session]]:
    """Have the sessions open while the block runs."""
    with ExitStack() as stack:
        for talk in talks:
            stack.enter_context(sessions.register(talk))
        yield talks


@pytest.mark.parametrize(("policy", "affected"), [("close", 3), ("close_affected", 2), ("follow", 2), ("keep", 0)])
async def test_the_sessions_of_a_policy(sessions: Sessions, policy: SessionPolicy, affected: int) -> None:
    """Each policy affects its sessions out of an equal, a new, a removed and a draining character's (promise 19)."""
    talks = [session(Line(), character=version(1, name)) for name in ("Ada", "Bob", "Cyd", "Cyd")]
    talks[3].closing.record("shutdown")
    with registered(sessions, *talks):
        impact = sessions.impact(swap_to(version(1), version(2, "Bob"), policy=policy))
    assert impact == SessionImpact(policy=policy, total=4, affected=affected)


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        ("close", ["reload", "reload", "reload"]),
        ("close_affected", [None, "reload", "character_removed"]),
        ("follow", [None, None, "character_removed"]),
        ("keep", [None, None, None]),
    ],
)
async def test_what_a_policy_does(sessions: Sessions, policy: SessionPolicy, ends: list[str | None]) -> None:
    """One whose character is equal, one whose is new, one whose is gone: the table of the README (promise 19)."""
    talks = [session(Line(), character=version(1, name)) for name in ("Ada", "Bob", "Cyd")]
    with registered(sessions, *talks):
        sessions.follow(swap_to(version(1), version(2, "Bob"), policy=policy))
        await turns()
        assert [talk.closing.reason for talk in talks] == ends


async def test_following_sessions_are_counted() -> None:
    """Each session that follows a new version is counted; one with an equal character is not."""
    metrics = Metrics()
    sessions = Sessions(Settings(), metrics)
    with registered(sessions, *(session(Line(), character=version(1, name)) for name in ("Ada", "Bob"))):
        for number in (2, 3):
            sessions.follow(swap_to(version(number), version(1, "Bob")))
    assert metrics.registry.get_sample_value("charhost_sessions_followed_total") == 2


async def test_a_session_is_found_with_its_key(sessions: Sessions) -> None:
    """A session is found only with the key that opened it."""
    talk = session(Line(), owner="me")
    with registered(sessions, talk):
        assert sessions.find(talk.id, ("me",)) is talk
        assert (sessions.find(talk.id, ("you",)), sessions.find(talk.id, ("",)), sessions.find("sess_1", ("me",))) == (
            None,
        ) * 3
    assert sessions.find(talk.id, ("me",)) is None


async def test_a_session_is_gone_after_its_end(sessions: Sessions) -> None:
    """A session is gone when it is not found any more."""
    talk = session(Line())
    with registered(sessions, talk):
        assert not talk.gone.is_set
    assert (talk.gone.is_set, sessions.find(talk.id, ("",))) == (True, None)


@pytest.mark.parametrize(("policy", "affected"), [("close", 2), ("keep", 0)])
async def test_the_impact_of_a_swap_is_known_before_it(
    sessions: Sessions, policy: SessionPolicy, affected: int
) -> None:
    """The impact of a swap is returned without any effect on the sessions."""
    with sessions.register(session(Line())), sessions.register(untouched := session(Line())):
        assert sessions.impact(swap(policy)) == SessionImpact(policy=policy, total=2, affected=affected)
        assert untouched.closing.reason is None


async def test_follow_returns_before_the_notifications(sessions: Sessions) -> None:
    """`follow` returns before the sessions receive anything."""
    talk = session(Line())
    with sessions.register(talk):
        sessions.follow(swap())
        assert talk.closing.reason is None
        await settled(lambda: talk.closing.reason)
        assert talk.closing.reason == "reload"


async def test_follow_leaves_newer_sessions_alone(sessions: Sessions) -> None:
    """A session that is opened after the swap is on the new set and is left alone."""
    old, new = session(Line()), session(Line())
    with sessions.register(old):
        sessions.follow(swap())
        with sessions.register(new):
            await settled(lambda: old.closing.reason)
            await turns()
            assert new.closing.reason is None


async def test_keep_touches_no_session(sessions: Sessions) -> None:
    """Under `keep` a swap is no business of the sessions."""
    talk = session(Line())
    with sessions.register(talk):
        sessions.follow(swap("keep"))
        await turns()
        assert talk.closing.reason is None


async def test_many_sessions_are_closed_in_batches(sessions: Sessions) -> None:
    """Between batches of closed sessions the event loop runs other tasks."""
    with registered(sessions, *(session(Line()) for _ in range(200))) as talks:
        sessions.follow(swap())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        notified = sum(talk.closing.reason is not None for talk in talks)
        assert 0 < notified < 200
        await settled(lambda: all(talk.closing.reason for talk in talks))


async def test_all_sessions_are_sent_their_message_before_one_is_let_go_of(sessions: Sessions) -> None:
    """Of more sessions than are closed in one batch the first is held until the last was sent its message."""
    lines = [Line() for _ in range(120)]
    talks = [session(line) for line in lines]
    with registered(sessions, *talks):
        sessions.follow(swap())
        async with asyncio.timeout(60):
            while talks[-1].closing.reason is None:
                assert not lines[0].is_read or talks[0].closing.reason is None
                await asyncio.sleep(0)
            assert not any(line.is_read for line in lines)
            while not all(line.is_read for line in lines):
                await asyncio.sleep(0)


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Over how many clients a return was spread, and how many of them a second."""
    seen: list[tuple[int, float]] = []

    class Spread(ReloadCloseMessage):
        def __init__(self, swap: Swap, count: int, rate: float) -> None:
            seen.append((count, rate))
            super().__init__(swap, count, rate)

    monkeypatch.setattr("charhost.web.sessions.sessions.ReloadCloseMessage", Spread)
    return seen


@pytest.mark.parametrize(("count", "rate"), [(1, 200), (2, 200), (201, 200), (101, 50)])
async def test_clients_come_back_so_many_in_a_second(spread: list[tuple[int, float]], count: int, rate: float) -> None:
    """The return is spread over as many clients as are closed, at the rate of the setting."""
    sessions = Sessions(Settings(max_reconnects_per_second=rate), Metrics())
    with registered(sessions, *(session(Line()) for _ in range(count))) as talks:
        sessions.follow(swap())
        await settled(lambda: all(talk.closing.reason for talk in talks))
    assert spread == [(count, rate)]


async def test_only_closing_sessions_are_waited_for(sessions: Sessions, spread: list[tuple[int, float]]) -> None:
    """Sessions that go on, or are ending already, do not make the others wait."""
    talks = [session(Line(), character=version(1, name)) for name in ("Ada", "Bob", "Bob")]
    talks[2].closing.record("reload")
    with registered(sessions, *talks):
        sessions.follow(swap_to(version(1, "Ada"), version(2, "Bob"), policy="close_affected"))
        await settled(lambda: talks[1].closing.reason)
    assert (spread, talks[0].closing.reason) == ([(1, 200)], None)


@pytest.mark.parametrize(("most", "rate", "longest"), [(1, 200, 0), (10_000, 200, 49_995), (101, 1000, 100)])
async def test_the_longest_wait_is_known_from_the_start(most: int, rate: float, longest: int) -> None:
    """The largest delay before reconnecting is that of the maximum number of sessions."""
    sessions = Sessions(Settings(max_sessions=most, max_reconnects_per_second=rate), Metrics())
    assert sessions.longest_wait == longest


async def test_close_waits_for_the_last_session(sessions: Sessions) -> None:
    """A shutdown waits until the last session has ended."""
    talk = session(Line())
    with sessions.register(talk):
        closing = asyncio.create_task(sessions.close())
        await settled(lambda: talk.closing.reason)
        await turns()
        assert not closing.done()
    await asyncio.wait_for(closing, 60)
    assert talk.closing.reason == "shutdown"


async def test_close_without_sessions_returns(sessions: Sessions) -> None:
    """A shutdown without sessions returns at once."""
    await asyncio.wait_for(sessions.close(), 60)
    assert sessions.closing


async def test_a_notified_session_does_not_disturb_the_next_reload(
    client: Client, write: Callable[[str, str], Path]
) -> None:
    """A client that has not left yet, and whose character is gone, does not disturb the next reload (promise 2)."""
    bob = write("bob.py", character("Bob"))
    await client.post("/v1/characters/reload", json={})
    async with client.ws_connect("/v1/realtime?model=Bob"):
        (session,) = client.app[SESSIONS]._live.values()
        session.closing.record("reload")
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
        await ws.receive_json(timeout=60)
        (session,) = client.app[SESSIONS]._live.values()
        assert session.character is client.app[SETS].default.manager.current["Bob"]
