"""Two hundred conversations through many edits."""

from __future__ import annotations

import asyncio
import json
import sys
import threading

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from charhost.reload.request import ReloadRequest
from charhost.web.keys import CONVERSATIONS, SESSIONS, SETS
from tests.conftest import Client
from tests.reload.helpers import Write
from tests.tagged import Echo, edit
from tests.web.realtime.event_grammar import Event
from tests.web.realtime.openai_client import LIMIT
from tests.web.realtime.server import reload, until
from tests.web.sessions.conversations import GA, Connect, builds, connect, settings, value

__all__ = ["connect", "settings"]


class Talker:
    """A client that always reads; each response has to be of one version."""

    def __init__(self, ws: ClientWebSocketResponse, tasks: asyncio.TaskGroup) -> None:
        self.ws = ws
        self.seen: list[str] = []
        self.listening = tasks.create_task(self.listen())
        self._answers: asyncio.Queue[Event] = asyncio.Queue()

    async def turn(self) -> str:
        """Request one response, and return its tag."""
        content = [{"type": "input_text", "text": "And now?"}]
        item = {"type": "message", "role": "user", "content": content}
        await self.ws.send_json({"type": "conversation.item.create", "item": item})
        await self.ws.send_json({"type": "response.create"})
        (item,) = (await asyncio.wait_for(self._answers.get(), LIMIT))["output"]
        (tag,) = json.loads(item["content"][0]["text"])
        self.seen.append(tag)
        return str(tag)

    async def listen(self) -> None:
        """Read events, which must include neither an error nor the close."""
        while (message := await self.ws.receive()).type is WSMsgType.TEXT:
            event = message.json()
            assert event["type"] != "error", event
            if event["type"] == "response.done":
                self._answers.put_nowait(event["response"])
        raise AssertionError(message)


@pytest.mark.parametrize("edits", [100, pytest.param(1000, marks=pytest.mark.slow)])
async def test_two_hundred_conversations_and_many_edits(
    client: Client, connect: Connect, write: Write, edits: int
) -> None:
    """Through many edits no session is closed, no turn mixes two versions, and nothing old is left (promises 19 and
    25)."""
    names = ["Ada", *(f"C{number:02}" for number in range(19))]
    client.app[CONVERSATIONS].models = Echo()
    for name in names[1:]:
        edit(write, "one", name)
    await reload(client)
    async with asyncio.TaskGroup() as tasks:
        talkers = [Talker(await connect(client, f"{GA}&model={name}"), tasks) for name in names for _ in range(10)]
        assert {await talker.turn() for talker in talkers} == {"one"}
        threads, modules = threading.active_count(), len(sys.modules)
        for number in range(edits):
            edit(write, f"v{number}")
            turn = tasks.create_task(talkers[number % 11].turn())  # ten are Ada's, one is not
            report = await client.app[SETS].default.manager.reload_characters(ReloadRequest(scope="changed"))
            assert (report.sessions.total, report.sessions.affected) == (200, 10)
            await turn
        assert [await talker.turn() for talker in talkers] == [f"v{edits - 1}"] * 10 + ["one"] * 190
        assert (len(client.app[SESSIONS]), value(client, "sessions_followed_total")) == (200, 10 * edits)
        await builds(client, 2)
        assert len(sys.modules) <= modules + 3  # Ada has a space of her own now
        await until(lambda: threading.active_count() <= threads)
        for talker in talkers:
            talker.listening.cancel()
    assert len(set(talkers[0].seen)) > edits // 20
