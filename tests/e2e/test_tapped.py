"""What servers in processes of their own send is checked, too."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import running
from tests.event_tap import RECORDED, Check, Sent


async def test_a_killed_server_has_written_what_it_sent(directory: Path) -> None:
    """Each event is written before it is sent, so that a kill loses none; it is the one that the client receives."""
    async with running(directory) as server, server.talk() as client:
        received = await client.recv()
        await server.stop(signal.SIGKILL)
    news = RECORDED.news()
    Check().feed(news)
    assert [json.loads(sent.frame) for sent in news] == [json.loads(received)]


def test_an_event_out_of_order() -> None:
    """What is no event, and what is not in its place, fails the test."""
    for frame in (
        '{"type": "nonsense"}',
        '{"type": "session.created", "event_id": "", "session": {"type": "realtime", "id": "s"}}',
    ):
        with pytest.raises((AssertionError, ValueError)):
            Check().feed([Sent(0, ("", "0"), frame)])
