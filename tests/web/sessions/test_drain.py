"""With a drain a session finishes its response before it is closed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.tagged import edit
from tests.web.realtime.openai_client import DIALECTS, LIMIT, MESSAGE, Script, calling, spelled
from tests.web.realtime.server import RELOAD, StartClient, closed, events, reload, start, until
from tests.web.realtime.unmute_events import OGG_PAGE
from tests.web.sessions.conversations import begin, builds, ends, failure, script, settings, value

__all__ = ["script", "settings", "start"]


async def test_a_drain_lets_an_answer_finish(client: Client, script: Script, write: Write) -> None:
    """A session in the middle of a response finishes it with the old version, and is closed then (promise 28)."""
    script.then("Once", script.go, " upon.")
    async with calling(client) as caller:
        await begin(caller)
        edit(write, "two")
        await reload(client, sessions="close", drain_seconds=60)
        script.go.set()
        assert await caller.end() == 1012
    done, error = caller.events[-2:]
    assert (done["response"]["status"], error["error"]["code"]) == ("completed", "characters_reloaded")
    assert done["response"]["output"][0]["content"][0]["text"] == "Once upon."
    await ends(client, drained=1, cut=0)


@DIALECTS
async def test_at_the_deadline_every_response_is_cut(client: Client, script: Script, dialect: Any) -> None:
    """At the deadline of a drain a response fails, and its end is sent before the reason (promise 28)."""
    script.then("Once", script.go)
    async with calling(client, dialect) as caller:
        await caller.send("response.create")
        await caller.until("response.output_text.delta" if dialect == "ga" else "response.text.delta")
        await reload(client, sessions="close", drain_seconds=0.05)
        assert await caller.end() == 1012
        trace = ["response.created", *MESSAGE, "response.done", "error"]
        assert caller.since("response.created") == spelled(trace, dialect)
    done = caller.events[-2]
    assert (done["response"]["status"], failure(done)) == ("failed", "characters_reloaded")
    assert done["response"]["output"][0]["status"] == "incomplete"
    await ends(client, drained=0, cut=1)


async def test_without_a_drain_the_answer_is_cut(client: Client, script: Script) -> None:
    """Without a drain a response is cut at once, and counted as cut."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close")
        assert await caller.end() == 1012
    await ends(client, drained=0, cut=1)


async def test_silence_is_not_waited_for(client: Client, script: Script) -> None:
    """A session without a response is closed at once, whatever the drain."""
    script.then("Once", script.go)
    async with calling(client) as talking, calling(client) as silent:
        await begin(talking)
        await reload(client, sessions="close", drain_seconds=3600)
        assert await silent.end() == 1012
        script.go.set()
        assert await talking.end() == 1012
    await ends(client, drained=1, cut=0)


@pytest.mark.parametrize("conversation", ["auto", "none"])
async def test_no_new_answer_begins_during_a_drain(client: Client, script: Script, conversation: str) -> None:
    """During a drain a new response is refused, the current one continues, and other events are processed."""
    script.then("Once", script.go, " upon.")
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=60)
        error = await caller.error("response.create", response={"conversation": conversation})
        assert (error["type"], error["code"]) == ("invalid_request_error", "characters_reloaded")
        await caller.add("One more thing.")
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        assert await caller.end() == 1012
    assert len(script.requests) == 1


async def test_two_reloads_in_one_drain(client: Client, script: Script, write: Write) -> None:
    """A second reload neither affects draining sessions nor sends them a second close message."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=60)
        await caller.error("response.create")
        for policy in ("close", "follow", "close_affected", "keep"):
            edit(write, policy)
            assert (await reload(client, sessions=policy))["sessions"]["affected"] == 0
        script.go.set()
        assert await caller.end() == 1012
    assert [event["type"] for event in caller.events[-2:]] == ["response.done", "error"]
    assert caller.events[-2]["response"]["status"] == "completed"


async def test_a_shutdown_waits_for_no_drain(client: Client, script: Script) -> None:
    """A shutdown closes draining sessions at once."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=3600)
        await caller.error("response.create")
        closing = asyncio.create_task(client.server.close())
        assert await caller.end() == 1001
        await asyncio.wait_for(closing, LIMIT)
    assert failure(caller.events[-1]) == "server_shutdown"


@pytest.mark.parametrize(
    "fields", [{"dry_run": True}, {"on_error": "abort"}, {"directory": "/nowhere"}, {"drain_seconds": -1}]
)
async def test_a_reload_that_changes_nothing_drains_no_session(
    client: Client, script: Script, write: Write, fields: dict[str, object]
) -> None:
    """After a dry run or a refusal a client can request the next response (promise 9)."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        edit(write, "two")
        write("broken.py", "def broken(:")
        await client.post(RELOAD, json={"sessions": "close", "drain_seconds": 60} | fields)
        script.go.set()
        await caller.until("response.done")
        assert (await caller.respond())["status"] == "completed"


async def test_the_drain_of_the_server_is_the_default(start: StartClient) -> None:
    """Without `drain_seconds` the setting is used, and zero in a request means zero."""
    client = await start(drain=3600)
    client.app[CONVERSATIONS].models = script = Script()
    script.then("Once", script.go, " upon.").then("Once", asyncio.Event())
    for fields, outcome in (({}, "completed"), ({"drain_seconds": 0}, "failed")):
        async with calling(client) as caller:
            await begin(caller)
            await reload(client, **fields)
            script.go.set()
            assert await caller.end() == 1012
        assert caller.events[-2]["response"]["status"] == outcome


async def test_a_character_that_is_gone_finishes_its_answer(
    client: Client, script: Script, write: Write, directory: Path
) -> None:
    """Under `follow` a drain also holds for a removed character (promise 28)."""
    write("bob.py", character("Bob"))
    await reload(client)
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        (directory / "ada.py").unlink()
        await reload(client, drain_seconds=60)
        script.go.set()
        assert await caller.end() == 4004
    assert caller.events[-2]["response"]["status"] == "completed"


async def test_a_greeting_of_unmute_is_drained(client: Client, script: Script) -> None:
    """A greeting of the Unmute dialect is finished before its client is closed (promise 28)."""
    script.then("Once ", script.go, "upon.")
    async with client.ws_connect("/v1/realtime?dialect=unmute") as ws:
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        await asyncio.wait_for(script.pausing.wait(), LIMIT)
        await reload(client, sessions="close", drain_seconds=60)
        script.go.set()
        received, code, _ = await events(ws)
    assert (received[-1]["error"]["code"], code) == ("characters_reloaded", 1012)
    assert [event["text"] for event in received if event["type"] == "response.text.done"] == ["Once upon."]


async def test_a_drain_holds_no_build_after_the_answer(client: Client, script: Script) -> None:
    """The old version is released with the drained session, long before the deadline (promise 25)."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=3600)
        script.go.set()
        assert await caller.end() == 1012
    await builds(client, 1)


async def test_an_ended_conversation_is_not_cut(client: Client, script: Script) -> None:
    """A conversation that the character ends counts neither as cut nor as drained."""
    script.then("Bye!")
    async with client.ws_connect("/v1/realtime?dialect=unmute") as ws:
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        assert (await events(ws))[1] == 1000
    await until(lambda: closed(client, "goodbye"))
    await ends(client, drained=0, cut=0)


async def test_a_client_that_leaves_during_a_drain_ends_the_conversation(client: Client, script: Script) -> None:
    """A client that disconnects during a drain counts as one that left."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=3600)
        await caller.error("response.create")
    await until(lambda: closed(client, "client"))
    assert (value(client, "sessions_drained_total"), value(client, "sessions_parked")) == (0, 0)
