"""Sessions that are resumed at another node: two applications on one engine in memory, and its faults."""

from __future__ import annotations

import asyncio

import pytest

from charhost.fleet.engine.memory import MemoryStore
from charhost.resume import shared_writer
from charhost.web.keys import SESSIONS
from charhost.web.sessions.close_message import taken_over
from tests.fleet.nodes import Node, nodes, options, store
from tests.fleet.talks.helpers import words
from tests.resume.helpers import NOT_FOUND, live, refusal, resuming, session_id
from tests.web.realtime.openai_client import REALTIME, calling
from tests.web.realtime.server import events, until
from tests.web.sessions.conversations import value

__all__ = ["nodes", "options", "store"]


async def test_a_session_goes_on_at_another_node(nodes: list[Node]) -> None:
    """A client that loses its node resumes at the other one, with its conversation."""
    one, other = nodes
    async with calling(one.client) as lost:
        added = await lost.add("Remember me.")
        await lost.respond()
        one.engine.cut()  # as a node that dies: nothing more of it arrives
        async with resuming(other.client, lost) as caller:
            found = await caller.ask("conversation.item.retrieve", item_id=added["item"]["id"])
            assert found["item"] == added["item"]
            await caller.respond()
    assert value(other.client, "sessions_resumed_total") == 1


async def test_the_old_connection_is_closed_at_once(nodes: list[Node]) -> None:
    """The node that had the session closes it with 4009 when it hears of the claim."""
    one, other = nodes
    async with calling(one.client) as lost:
        await lost.respond()
        async with resuming(other.client, lost):
            assert await lost.end() == 4009
            assert lost.events[-1]["error"]["code"] == "session_taken_over"
    assert value(one.client, "sessions_taken_over_total") == 1


async def test_a_node_that_lost_a_session_ends_no_response(nodes: list[Node]) -> None:
    """A client of the old node is sent no `response.done`: what it was told would not be kept."""
    one, other = nodes
    one.engine.hears = False
    async with calling(one.client) as lost:
        await lost.respond()
        count = len(lost.events)
        async with resuming(other.client, lost):
            await lost.send("response.create")
            assert await lost.end() == 4009
        assert "response.done" not in [event["type"] for event in lost.events[count:]]
        assert lost.events[-1]["error"]["code"] == "session_taken_over"


async def test_the_old_node_keeps_nothing_of_it(nodes: list[Node]) -> None:
    """A session that was lost is not kept for a client at the old node, and ends nothing at the new one."""
    one, other = nodes
    async with calling(one.client) as lost:
        await lost.respond()
        async with resuming(other.client, lost) as caller:
            await lost.end()
            await until(lambda: not len(one.client.app[SESSIONS]))
            assert value(one.client, "sessions_parked") == 0
            await caller.respond()
            async with resuming(one.client, caller) as back:
                await back.respond()


async def test_a_response_is_done_when_it_is_stored(nodes: list[Node], store: MemoryStore) -> None:
    """The client learns of the end of a response after the engine has it."""
    one = nodes[0]
    async with calling(one.client) as caller:
        await caller.add("Hello")
        one.engine.pause()
        await caller.send("response.create")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.until("response.done"), 0.5)
        one.engine.go_on()
        await caller.until("response.done")
        assert len(words(store, session_id(caller)) or []) == 2


async def test_without_the_engine_responses_wait_once(
    nodes: list[Node], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is cut off goes on talking, and what was missed is saved when it is back."""
    monkeypatch.setattr(shared_writer, "SAVE_DEADLINE", 0.1)
    one, other = nodes
    async with calling(one.client) as lost:
        one.engine.cut()
        added = await lost.add("Remember me.")
        await lost.respond()
        await lost.respond()
        assert (value(one.client, "conversation_errors_total") or 0) >= 1
        one.engine.heal()
        await until(lambda: len(words(store, session_id(lost)) or []) == 3)
        async with resuming(other.client, lost) as caller:
            found = await caller.ask("conversation.item.retrieve", item_id=added["item"]["id"])
            assert found["item"] == added["item"]


async def test_a_node_that_is_cut_off_asks_to_try_again(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose session cannot be read now does not learn that it is gone."""
    monkeypatch.setattr(shared_writer, "SAVE_DEADLINE", 0.1)
    one, other = nodes
    async with calling(one.client) as lost:
        await lost.respond()
        other.engine.cut()
        async with other.client.ws_connect(REALTIME, params={"resume": session_id(lost)}) as ws:
            (event,), code, _ = await events(ws)
    assert (event["error"]["type"], event["error"]["code"], code) == ("fatal", "session_unavailable", 1013)
    assert event["error"]["retry_after_ms"] >= 1000


async def test_a_node_that_is_cut_off_goes_on_with_no_old_copy(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that comes back to its first node, while that cannot know what was said elsewhere, is to try again."""
    monkeypatch.setattr(shared_writer, "SAVE_DEADLINE", 0.1)
    one, other = nodes
    async with calling(one.client) as lost:
        await lost.respond()
        await lost.ws.close(code=1001)
    await until(lambda: value(one.client, "sessions_parked") == 1)
    one.engine.cut()
    async with resuming(other.client, lost) as caller:
        added = await caller.add("Remember me.")
        await caller.respond()
        await caller.ws.close(code=1001)
    async with one.client.ws_connect(REALTIME, params={"resume": session_id(lost)}) as ws:
        (event,), code, _ = await events(ws)
    assert (event["error"]["code"], code) == ("session_unavailable", 1013)
    one.engine.heal()
    async with resuming(one.client, caller) as back:
        found = await back.ask("conversation.item.retrieve", item_id=added["item"]["id"])
        assert found["item"] == added["item"]


async def test_a_session_that_ends_before_it_is_saved_ends_no_response(nodes: list[Node]) -> None:
    """Its client is sent no `response.done`: another node may go on without what is not saved."""
    one = nodes[0]
    async with calling(one.client) as lost:
        await lost.respond()
        count = len(lost.events)
        one.engine.pause()
        await lost.send("response.create")
        await lost.until("response.output_text.done")
        live(one.client).closing.close(taken_over(), 0.2)
        assert await lost.end() == 4009
        one.engine.go_on()
    assert "response.done" not in [event["type"] for event in lost.events[count:]]


async def test_a_session_that_has_ended_is_found_nowhere(nodes: list[Node]) -> None:
    """A client that has said goodbye is not found at another node."""
    one, other = nodes
    async with calling(one.client) as caller:
        await caller.respond()
        await caller.ws.close()
    await until(lambda: not len(one.client.app[SESSIONS]))
    async with asyncio.timeout(60):
        while await refusal(other.client, session_id(caller)) != NOT_FOUND:
            await asyncio.sleep(0.01)


async def test_several_connections_of_a_client_end_with_one(nodes: list[Node]) -> None:
    """Of several connections that resume the same session at two nodes, the last one has it, with all that was said."""
    one, other = nodes
    async with calling(one.client) as lost:
        added = await lost.add("Remember me.")
        await lost.respond()
        resumes = [(node.client, session_id(lost)) for node in (one, other) * 3]
        callers = [client.ws_connect(REALTIME, params={"resume": found, "dialect": "ga"}) for client, found in resumes]
        sockets = await asyncio.gather(*callers)
        created = [await socket.receive_json(timeout=60) for socket in sockets]
        assert {event["type"] for event in created} == {"session.created"}
        async with resuming(other.client, lost) as caller:
            found = await caller.ask("conversation.item.retrieve", item_id=added["item"]["id"])
            assert found["item"] == added["item"]
            await caller.respond()
            codes = [(await events(socket))[1] for socket in sockets]
        assert set(codes) == {4009}
