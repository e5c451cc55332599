"""The budget of memory, over real sockets: what each door refuses, what counts, and what is given back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSServerHandshakeError

from charhost.memory.budget import MemoryBudget
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import BUDGET, CONVERSATIONS, METRICS, SESSIONS
from charhost.web.sessions import heartbeat, incoming
from tests.conftest import Client
from tests.e2e.websocket_frames import TEXT, frame, handshake, head
from tests.scripted import LIMIT, ScriptedModel

REALTIME = "/v1/realtime?dialect=ga"
MEGABYTE = 1 << 20
SIZE = 8 * MEGABYTE

# Twenty thousand parts, which take three times as much as their JSON.
WIDE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}] * 20_000}

Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
def serve(aiohttp_client: Callable[..., Awaitable[Client]], directory: Path) -> Serve:
    """Serves the directory with a budget of eight megabytes, unless the settings have another."""

    async def serve(**settings: Any) -> Client:
        values = {"directory": directory, "memory_budget": SIZE} | settings
        client = await aiohttp_client(create_app(Settings(**values)))
        client.app[CONVERSATIONS].models = ScriptedModel(["Hi."])
        return client

    return serve


def budget(client: Client) -> MemoryBudget:
    return client.app[BUDGET]


def counted(client: Client, name: str, kind: str) -> float:
    """Return the value of a counter of memory."""
    return client.app[METRICS].registry.get_sample_value(f"charhost_memory_{name}_total", {"kind": kind}) or 0.0


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


async def answer(ws: ClientWebSocketResponse, **event: Any) -> Any:
    """Send an event, and return the next one."""
    await ws.send_json(event)
    return await ws.receive_json(timeout=LIMIT)


async def created(ws: ClientWebSocketResponse) -> str:
    """Return the id of the session, which is the first that it says."""
    found: str = (await ws.receive_json(timeout=LIMIT))["session"]["id"]
    return found


def item(**content: Any) -> dict[str, Any]:
    """Return the event with a message of one part."""
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [content]}}


def image(size: int) -> dict[str, Any]:
    """Return the event with an image of that size."""
    return item(type="input_image", image_url="data:," + "A" * size)


def tools(entries: int) -> dict[str, Any]:
    """Return the event with a tool whose parameters have so many empty lists."""
    tool = {"type": "function", "name": "t", "parameters": {"a": [[] for _ in range(entries)]}}
    return {"type": "session.update", "session": {"tools": [tool]}}


async def lost(client: Client, *events: dict[str, Any]) -> str:
    """Open a session, send these events, lose the connection, and return the id of the session."""
    ws = await client.ws_connect(REALTIME)
    session = await created(ws)
    for event in events:
        assert (await answer(ws, **event))["type"] != "error"
        if event["type"] == "conversation.item.create":
            await ws.receive_json(timeout=LIMIT)
    ws._writer.transport.abort()
    await ws.close()
    await until(lambda: len(client.app[SESSIONS]) == 0)
    return session


async def test_tools_of_a_parked_session_count_and_the_oldest_session_goes(serve: Serve) -> None:
    """Sessions with tools of two megabytes fit three times; the oldest ones cannot be resumed any more."""
    client = await serve()
    ids = [await lost(client, tools(40_000)) for _ in range(5)]
    assert SIZE / 2 < budget(client).held["disconnected"] <= SIZE
    gone = int(counted(client, "given_up", "disconnected"))
    assert gone in (2, 3)
    for session in ids[:gone]:
        async with client.ws_connect(f"{REALTIME}&resume={session}") as ws:
            assert (await ws.receive_json(timeout=LIMIT))["error"]["code"] == "session_not_found"
    async with client.ws_connect(f"{REALTIME}&resume={ids[-1]}") as ws:
        assert await created(ws) == ids[-1]
        assert len((await answer(ws, type="session.update", session={}))["session"]["tools"]) == 1


async def test_item_that_does_not_fit_is_refused(serve: Serve) -> None:
    """An item without room is refused as `session_too_large`, nothing is changed, and the session goes on."""
    client = await serve()
    async with client.ws_connect(REALTIME) as ws:
        await created(ws)
        for _ in range(2):
            assert (await answer(ws, **image(3_400_000)))["type"] == "conversation.item.added"
            await ws.receive_json(timeout=LIMIT)
        refused = await answer(ws, type="conversation.item.create", item=WIDE, event_id="mine")
        assert (refused["error"]["code"], refused["error"]["event_id"]) == ("session_too_large", "mine")
        assert counted(client, "refused", "sessions") == 1
        (live,) = client.app[SESSIONS]._live.values()
        assert len(live.conversation.history) == 2
        assert (await answer(ws, **item(type="input_text", text="Hi")))["type"] == "conversation.item.added"


async def test_tools_that_do_not_fit_are_refused(serve: Serve) -> None:
    """Settings without room are refused, and the former ones stay."""
    client = await serve(memory_budget=MEGABYTE)
    async with client.ws_connect(REALTIME) as ws:
        await created(ws)
        assert (await answer(ws, **tools(40_000)))["error"]["code"] == "session_too_large"
        assert (await answer(ws, type="session.update", session={}))["session"]["tools"] == []


async def test_response_that_does_not_fit_is_refused(serve: Serve) -> None:
    """Items for one response count until its end."""
    client = await serve(memory_budget=3_000_000)
    async with client.ws_connect(REALTIME) as ws:
        await created(ws)
        event = {"type": "response.create", "response": {"conversation": "none", "input": [WIDE] * 2}}
        assert (await answer(ws, **event))["error"]["code"] == "session_too_large"
        assert budget(client).held["requests"] == 0
        assert (await answer(ws, type="response.create"))["type"] == "response.created"
        await until(lambda: budget(client).held["requests"] == 0)


async def test_message_that_does_not_fit_ends_the_session(serve: Serve) -> None:
    """A message without room is refused while it comes, with 1009 and the code."""
    client = await serve(close_grace=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(handshake(client.port or 0))
    await asyncio.wait_for(reader.readuntil(b"session.created"), LIMIT)
    writer.write(head(TEXT, 23 * MEGABYTE) + bytes(9 * MEGABYTE))
    received = await asyncio.wait_for(_read_to_the_end(reader), LIMIT)
    assert b'"code":"session_too_large"' in received
    assert b"\x03\xf1" in received  # close code 1009
    await until(lambda: len(client.app[SESSIONS]) == 0)
    assert budget(client).held["incoming"] == 0
    writer.close()


async def test_message_that_trickles_ends_the_session(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is not complete in time ends its session, however many bytes and pongs come."""
    monkeypatch.setattr(incoming, "MESSAGE_DEADLINE", 0.5)
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.05)
    client = await serve(close_grace=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(handshake(client.port or 0))
    await asyncio.wait_for(reader.readuntil(b"session.created"), LIMIT)
    writer.write(head(TEXT, 23 * MEGABYTE) + bytes(MEGABYTE))
    ending = asyncio.create_task(_read_to_the_end(reader))
    async with asyncio.timeout(LIMIT):
        while not ending.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
    assert b'"code":"request_timeout"' in await ending
    await until(lambda: len(client.app[SESSIONS]) == 0)
    assert budget(client).held["incoming"] == 0
    writer.close()


async def test_frames_within_the_handshake_do_not_hide_a_message(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose first frame hides behind its handshake is too late like any other."""
    monkeypatch.setattr(incoming, "MESSAGE_DEADLINE", 0.5)
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.05)
    client = await serve(close_grace=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(handshake(client.port or 0) + head(TEXT, 23 * MEGABYTE))
    await asyncio.wait_for(reader.readuntil(b"session.created"), LIMIT)
    writer.write(frame(TEXT, b"{}") * 100)
    assert b'"code":"request_timeout"' in await asyncio.wait_for(_read_to_the_end(reader), LIMIT)
    writer.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_bodies_under_way_count(serve: Serve, path: str) -> None:
    """While bodies that are not complete take the budget another request is refused with 429, and served later."""
    client = await serve()
    small = {"model": "Ada", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}
    writers = []
    for _ in range(2):
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        request = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {20 * MEGABYTE}\r\n\r\n"
        writer.write(request.encode() + bytes(SIZE // 2 - 100))
        writers.append(writer)
    await until(lambda: budget(client).held["requests"] > SIZE - 1_000)
    async with client.post(path, json=small) as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        assert (await refused.json())["error"]["code"] == "rate_limit_exceeded"
    for writer in writers:
        writer.transport.abort()
    await until(lambda: budget(client).held["requests"] == 0)
    async with client.post(path, json=small) as served:
        assert served.status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_request_that_never_fits_is_too_large(serve: Serve, path: str) -> None:
    """A request whose parts take more than the budget is refused with 413."""
    client = await serve(memory_budget=MEGABYTE)
    parts = [{"type": "text", "text": ""}] * 10_000
    body = {"model": "Ada", "messages": [{"role": "user", "content": parts}]}
    if path == "/v1/responses":
        body["input"] = [{"role": "user", "content": [{"type": "input_text", "text": ""}] * 10_000}]
    async with client.post(path, data=json.dumps(body)) as refused:
        assert (refused.status, (await refused.json())["error"]["code"]) == (413, "request_too_large")
    assert budget(client).held["requests"] == 0


async def test_stored_responses_make_room(serve: Serve) -> None:
    """Stored responses count, and the oldest goes before a request is refused."""
    client = await serve()
    ids = []
    for _ in range(12):
        async with client.post("/v1/responses", json={"model": "Ada", "input": "x" * 900_000}) as made:
            ids.append((await made.json())["id"])
    assert counted(client, "given_up", "responses") >= 3
    found = [(await client.get(f"/v1/responses/{one}")).status for one in (ids[0], ids[-1])]
    assert found == [404, 200]


async def test_session_without_room_is_refused(serve: Serve) -> None:
    """Where the budget has no room for a session its handshake gets 503."""
    client = await serve(memory_budget=30_000)
    async with client.ws_connect(REALTIME) as ws:
        await created(ws)
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect(REALTIME)
        assert refused.value.status == 503


async def test_client_secrets_without_room_are_refused(serve: Serve) -> None:
    """The session of a secret counts, and one without room gets 429."""
    client = await serve(memory_budget=400_000)
    session = {"tools": [{"type": "function", "name": "t", "parameters": {"a": [[] for _ in range(2_000)]}}]}
    statuses = []
    for _ in range(3):
        async with client.post("/v1/realtime/client_secrets", json={"session": session}) as made:
            statuses.append(made.status)
    assert (statuses[0], statuses[-1]) == (200, 429)


async def test_everything_is_given_back(serve: Serve) -> None:
    """After conversations over all doors nothing is held, except by what is kept for their clients."""
    client = await serve(resume_ttl=0)
    await lost(client, tools(1_000), item(type="input_text", text="Hi"))
    async with client.ws_connect(REALTIME) as ws:
        await created(ws)
        await ws.send_json({"type": "response.create"})
        while (await ws.receive_json(timeout=LIMIT))["type"] != "response.done":
            pass
    messages = [{"role": "user", "content": "Hi"}]
    for stream in (False, True):
        asked = {"model": "Ada", "messages": messages, "stream": stream}
        assert (await client.post("/v1/chat/completions", json=asked)).status == 200
        assert (await client.post("/v1/chat/completions", data=b"{")).status == 400
    await until(lambda: len(client.app[SESSIONS]) == 0)
    held = {kind: size for kind, size in budget(client).held.items() if kind != "conversations"}
    assert set(held.values()) == {0}


async def _read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    received = b""
    try:
        while piece := await reader.read(1 << 16):
            received += piece
    except ConnectionError:
        pass
    return received
