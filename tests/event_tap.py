"""What servers within a test send to their sessions, whatever the client is, checked at the end of the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from charhost.web.sessions.outbox import Outbox


class _TappedSocket:
    """The socket of a session, of which each frame is noted as it is sent."""

    def __init__(self, ws: Any, frames: list[str]) -> None:
        self._ws = ws
        self._frames = frames

    async def send_str(self, frame: str) -> None:
        self._frames.append(frame)
        await self._ws.send_str(frame)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)


@pytest.fixture(autouse=True)
def event_tap() -> Iterator[None]:
    """Check each event that a server of this process sends to a session: at the end of the test, and in its order."""
    sessions: list[list[str]] = []
    pump = Outbox.pump

    async def tapped(outbox: Outbox, ws: Any) -> None:
        frames: list[str] = []
        sessions.append(frames)
        await pump(outbox, _TappedSocket(ws, frames))  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outbox, "pump", tapped)
        yield
    if any(sessions):
        _check(sessions)


def _check(sessions: list[list[str]]) -> None:
    """Check the events of each session by the grammar of its dialect, and the strict models of its SDK."""
    # Only here: they import the SDKs.
    from tests.web.realtime.event_grammar import Grammar
    from tests.web.realtime.unmute_events import TABLE

    known: dict[str, Grammar] = {}
    for frames in sessions:
        events = [json.loads(frame) for frame in frames]
        session = next((event["session"] for event in events if event["type"] == "session.created"), None)
        if session is None:
            for frame in frames:
                TABLE.validate_json(frame)
            continue
        grammar = Grammar("ga" if session.get("type") == "realtime" else "beta")
        if session["id"] in known:
            grammar.resume(known[session["id"]])
        known[session["id"]] = grammar
        for event in events:
            grammar.feed(event)
