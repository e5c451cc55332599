"""GET /v1/events and /v1/figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientResponse
from pydantic_core import from_json

from tests.conftest import Client, character
from tests.reload.helpers import Write


async def events(response: ClientResponse) -> AsyncIterator[tuple[str, str, Any]]:
    """Yield id, kind and content of each event."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(60):
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields.get("id", ""), fields["event"], from_json(fields["data"])
                fields = {}
            else:
                fields = {}


async def next_of(found: AsyncIterator[tuple[str, str, Any]], kind: str) -> tuple[str, Any]:
    """Return id and content of the next event of a kind."""
    async for id_, event, content in found:
        if event == kind:
            return id_, content
    raise AssertionError(f"the stream ended before {kind}")


async def test_reload_is_followed_from_its_beginning_to_the_change(client: Client, write: Write) -> None:
    """A reload is three events: begun, ended with its report, and the changes of the set."""
    async with client.get("/v1/events") as response:
        assert response.content_type == "text/event-stream"
        found = events(response)
        await next_of(found, "sessions")
        write("bob.py", character("Bob"))
        report = await (await client.post("/v1/characters/reload", json={})).json()
        _, started = await next_of(found, "reload.started")
        _, ended = await next_of(found, "reload.ended")
        _, changed = await next_of(found, "characters.changed")
    assert (started["reload_id"], started["trigger"]) == (report["reload_id"], "http")
    assert ended == report
    assert (changed["generation"], changed["changes"]["added"]) == (2, ["Bob"])


async def test_returning_client_gets_missed_events(client: Client) -> None:
    """With Last-Event-ID the events since are sent first."""
    async with client.get("/v1/events") as response:
        found = events(response)
        await next_of(found, "sessions")
        await client.post("/v1/characters/reload", json={})
        last, _ = await next_of(found, "reload.started")
    missed = await (await client.post("/v1/characters/reload", json={"reason": "missed"})).json()
    async with client.get("/v1/events", headers={"Last-Event-ID": last}) as response:
        found = events(response)
        await next_of(found, "reload.ended")
        assert (await next_of(found, "reload.ended"))[1] == missed


async def test_stream_begins_with_the_present_state(client: Client) -> None:
    """The first events are the sessions by generation, the watcher and the model; figures follow."""
    async with client.get("/v1/events") as response:
        found = events(response)
        assert await next_of(found, "sessions") == ("", [])
        assert await next_of(found, "watcher") == ("", None)
        assert await next_of(found, "model") == ("", None)
        assert (await next_of(found, "figures"))[1]["memory_bytes"] > 1 << 20


async def test_head_has_no_body(client: Client) -> None:
    """A HEAD request has the type of the stream, and an end."""
    async with asyncio.timeout(30), client.head("/v1/events") as response:
        assert (response.status, response.content_type, await response.read()) == (200, "text/event-stream", b"")


async def test_open_session_is_an_event(client: Client) -> None:
    """A session that opens changes the sessions of its generation."""
    async with client.get("/v1/events") as response:
        found = events(response)
        await next_of(found, "sessions")
        async with client.ws_connect("/v1/realtime?model=Ada"):
            assert (await next_of(found, "sessions"))[1] == [{"generation": 1, "sessions": 1}]


async def test_figures_of_the_last_hour_are_listed(client: Client) -> None:
    """The history has the figures since the start, at least the first ones."""
    found = await (await client.get("/v1/figures")).json()
    assert (found["figures"][0]["sessions"], found["figures"][0]["responses_per_minute"]) == (0, 0)
