"""What sessions cost, in counts that do not depend on the machine: frames of a farewell, timers of the idle."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

import charhost
from tests.conftest import Client

SESSIONS = 5
# By the code of the server, beside what aiohttp allocates for a WebSocket.
MOST_BYTES = 11_000


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each method of a WebSocket that sends something was called."""
    calls: Counter[str] = Counter()

    def counted(name: str) -> Any:
        method = getattr(web.WebSocketResponse, name)

        def call(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return method(*arguments, **options)

        return call

    for name in ("send_str", "send_bytes", "ping", "close"):
        monkeypatch.setattr(web.WebSocketResponse, name, counted(name))
    return calls


async def test_a_farewell_is_two_frames(client: Client, sent: Counter[str]) -> None:
    """Each of the sessions that a reload closes is sent one event and one close frame, of a few hundred bytes."""
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(client.ws_connect("/v1/realtime?dialect=ga")) for _ in range(SESSIONS)
        ]
        for socket in sockets:
            await socket.receive()
        sent.clear()
        await client.post("/v1/characters/reload", json={})
        for socket in sockets:
            event, close = await socket.receive(), await socket.receive()
            assert (close.type, close.data) == (WSMsgType.CLOSE, 1012)
            assert len(event.data) + len(close.extra or "") < 800
    assert sent == {"send_str": SESSIONS, "close": SESSIONS}


async def test_an_idle_session_has_one_timer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its heartbeat nothing of an idle session waits for the clock."""
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_at = loop.call_at

    def noted(*arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(call_at(*arguments, **options))
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", noted)
    async with AsyncExitStack() as stack:
        for _ in range(SESSIONS):
            socket = await stack.enter_async_context(client.ws_connect("/v1/realtime?dialect=ga"))
            await socket.receive()
        waiting = [repr(timer) for timer in timers if not timer.cancelled() and timer.when() > loop.time()]
        of_server = [timer for timer in waiting if "TimeoutHandle" not in timer]  # that of the client
        others = [timer for timer in of_server if "Heartbeat" not in timer]
        assert len(of_server) - len(others) == SESSIONS
        assert len(others) < SESSIONS, others  # of the application, however many sessions it has


async def test_an_idle_session_takes_few_bytes(client: Client) -> None:
    """What the code of the server has allocated for a session that says nothing stays within a few kilobytes."""
    own = [tracemalloc.Filter(True, str(Path(charhost.__file__).parent / "*"))]
    async with AsyncExitStack() as stack:

        async def open_one() -> None:
            socket = await stack.enter_async_context(client.ws_connect("/v1/realtime?dialect=ga"))
            await socket.receive()

        await open_one()  # imports what sessions need
        tracemalloc.start()
        try:
            before = tracemalloc.take_snapshot().filter_traces(own)
            for _ in range(SESSIONS):
                await open_one()
            grown = tracemalloc.take_snapshot().filter_traces(own).compare_to(before, "filename")
        finally:
            tracemalloc.stop()
    assert sum(entry.size_diff for entry in grown) / SESSIONS < MOST_BYTES
