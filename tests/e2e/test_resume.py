"""Conversations that continue after a reload, with a server process: OpenAI's SDK, and the log."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.conftest import character
from tests.e2e.conftest import PATIENCE, Server, output, running
from tests.e2e.sdk import NO_PROXY, sdk, user
from tests.web.realtime.event_grammar import Grammar


async def until(connection: Any, grammar: Grammar, kind: str) -> Any:
    """The first event of that type, as the SDK reads it; all before it are in the order of OpenAI's."""
    async with asyncio.timeout(PATIENCE):
        while True:
            sent = await connection.recv_bytes()
            grammar.feed(json.loads(sent))
            event = connection.parse_event(sent)
            assert event.type != "error", event
            if event.type == kind:
                return event


async def test_the_sdk_sees_nothing_but_standard_events(tmp_path: Path) -> None:
    """Through three edits OpenAI's SDK continues on one WebSocket, and receives only events that it knows."""
    directory = tmp_path / "characters"
    directory.mkdir()
    (directory / "ada.py").write_text(character("Ada", "one"))
    grammar = Grammar("ga")
    async with (
        running(directory, "--watch", "--sessions", "follow") as server,
        sdk(server) as client,
        client.realtime.connect(model="Ada", websocket_connection_options=NO_PROXY) as connection,
    ):
        await until(connection, grammar, "session.created")
        for text in ("two", "three", "four"):
            (directory / "ada.py").write_text(character("Ada", text))
            updated = await until(connection, grammar, "session.updated")
            assert updated.session.model == "Ada"
            await connection.conversation.item.create(item=user("Hello!"))
            await connection.response.create()
            done = await until(connection, grammar, "response.done")
            assert done.response.status == "completed"


async def rest(socket: ClientConnection) -> list[Any]:
    """All that a client is still sent."""
    received = []
    try:
        while True:
            received.append(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE)))
    except ConnectionClosed:
        return received


def back(server: Server, session: str) -> connect:
    """A client that comes back for its session."""
    return connect(f"{server.url.replace('http', 'ws', 1)}/v1/realtime?resume={session}", proxy=None)


async def first(socket: ClientConnection) -> Any:
    """The first event."""
    return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))


async def test_the_id_of_a_session_is_in_no_log(characters: Path) -> None:
    """The log never has the id of a session, so that its reader cannot take it over (promise 34)."""
    reload = ("curl", "-sS", "--noproxy", "*", "-XPOST", "-HContent-Type: application/json", "-d{}")
    async with running(characters) as server:
        async with server.talk() as socket:
            session = (await first(socket))["session"]["id"]
            assert (await output(*reload, f"{server.url}/v1/characters/reload"))[0] == 0
            assert (await rest(socket))[-1]["error"]["code"] == "characters_reloaded"
        async with back(server, session) as socket:
            assert (await first(socket))["session"]["id"] == session
            async with back(server, session) as other:
                assert (await rest(socket))[-1]["error"]["code"] == "session_taken_over"
                assert (await first(other))["session"]["id"] == session
                await other.send("{" + session)
        async with back(server, session) as socket:  # hung up
            assert (await first(socket))["error"]["code"] == "session_not_found"
        await output("curl", "-sS", "--noproxy", "*", f"{server.url}/v1/realtime?resume={session}")
        assert await server.stop() == 0
    logged = server.log.read_text()
    assert re.search(r"session opened with character", logged)
    assert (session in logged, session.removeprefix("sess_") in logged) == (False, False)


async def test_shutdown_ends_what_could_be_resumed(characters: Path) -> None:
    """A shutdown closes with 1001, and the next server does not know the session."""
    async with running(characters) as server, server.talk() as socket:
        session = (await first(socket))["session"]["id"]
        assert await server.stop() == 0
        assert (await rest(socket), socket.close_code) == ([], 1001)
    async with running(characters) as server, back(server, session) as socket:
        assert (await first(socket))["error"]["code"] == "session_not_found"
