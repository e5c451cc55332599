"""The delay before reconnecting."""

from __future__ import annotations

from typing import Any

from tests.web.realtime.openai_client import DIALECTS, calling
from tests.web.realtime.server import StartClient, events, reload, start
from tests.web.sessions.conversations import GA, settings

__all__ = ["settings", "start"]


@DIALECTS
async def test_a_session_has_the_largest_delay(start: StartClient, dialect: Any) -> None:
    """`session.created` and `session.updated` have the largest `retry_after_ms` to expect."""
    client = await start(max_sessions=101, max_reconnects_per_second=50)
    async with calling(client, dialect) as caller:
        assert caller.events[0]["session"]["retry_after_max_ms"] == 2000
        assert (await caller.update())["retry_after_max_ms"] == 2000


async def test_the_rate_of_the_return_can_be_set(start: StartClient) -> None:
    """The delays before reconnecting depend on `max_reconnects_per_second`: 30 clients at 10 a second wait at most 2.9
    s."""
    client = await start(max_reconnects_per_second=10)
    sockets = [await client.ws_connect(GA) for _ in range(30)]
    await reload(client)
    waits = [(await events(ws))[0][-1]["error"]["retry_after_ms"] for ws in sockets]
    assert 145 < max(waits) <= 2900
