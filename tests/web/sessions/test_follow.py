"""With `follow` a session continues with the new version of its character."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse

from charhost.web.keys import SESSIONS
from charhost.web.sessions.sessions import GenerationCount
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import end
from tests.tagged import Gate, edit, tags
from tests.web.realtime.openai_client import DIALECTS, LIMIT, MESSAGE, REALTIME, Script, call, calling
from tests.web.realtime.server import closed, events, reload, until
from tests.web.realtime.unmute_events import OGG_PAGE, TABLE
from tests.web.sessions.conversations import begin, builds, failure, full, generations, script, settings, value

__all__ = ["script", "settings"]


@DIALECTS
async def test_the_next_turn_is_the_new_version_with_the_old_history(
    client: Client, script: Script, write: Write, dialect: Any
) -> None:
    """The next turn has the prompt and tools of the new version, and the history of the session."""
    async with calling(client, dialect) as caller:
        await caller.add("Remember me.")
        await caller.respond()
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        await caller.respond()
    assert (tags(script.requests[0]), tags(script.requests[1])) == ({"one"}, {"two"})
    contents = [message["content"] for message in script.requests[1].messages[1:]]
    assert contents[:2] == ["Remember me.", "Yes."]


@DIALECTS
async def test_a_client_is_notified_once_of_a_new_character(
    client: Client, script: Script, write: Write, dialect: Any
) -> None:
    """The client receives one `session.updated`, with its settings unchanged."""
    async with calling(client, dialect) as caller:
        set_before = await caller.update(instructions="Be brief.")
        edit(write, "two")
        await reload(client)
        assert (await caller.next())["session"] == set_before
        assert (await caller.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"


async def test_what_a_client_has_set_stays(client: Client, script: Script, write: Write) -> None:
    """The client's instructions and tools are used beside those of the new version."""
    tool = {"type": "function", "name": "mine", "description": "x", "parameters": {"type": "object"}}
    async with calling(client) as caller:
        await caller.update(instructions="Be brief.", tools=[tool])
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        await caller.respond()
    assert script.messages[0]["content"] == "two two two\n\nBe brief."
    assert {tool["function"]["name"] for tool in script.requests[0].tools} == {"ask_two", "mine"}


async def test_a_turn_ends_with_the_version_it_began_with(client: Client, script: Script, write: Write) -> None:
    """An edit between two deltas has its effect in the next turn, not in the current one."""
    script.then("Once", script.go, " upon.", call("ask_one", "{}"), end("tool_calls")).then("A time.")
    async with calling(client) as caller:
        await begin(caller)
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        await caller.add("And now?")
        await caller.respond()
    assert [tags(request) for request in script.requests] == [{"one"}, {"one"}, {"two"}]


@pytest.mark.parametrize("method", ["prompt", "tool"])
async def test_a_running_turn_ends_with_its_code(
    client: Client, script: Script, write: Write, directory: Path, method: str
) -> None:
    """An edit while the prompt is made, or a tool runs, leaves the current turn on the old version, late imports
    included."""
    script.then(call("ask_one", "{}"), end("tool_calls")).then("Done.")
    gate = Gate(directory, method)
    async with calling(client) as caller:
        await caller.send("response.create")
        await gate.reached()
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        gate.open()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        await caller.add("And now?")
        await caller.respond()
    assert [tags(request) for request in script.requests] == [{"one"}, {"one"}, {"two"}]


async def test_several_edits_during_one_turn(client: Client, script: Script, write: Write) -> None:
    """After several edits during one turn the next one has the last version."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        for tag in ("two", "three", "four"):
            edit(write, tag)
            await reload(client)
            await caller.until("session.updated")
        script.go.set()
        await caller.until("response.done")
        await caller.respond()
    assert [tags(request) for request in script.requests] == [{"one"}, {"four"}]


async def test_others_are_not_notified(client: Client, script: Script, write: Write) -> None:
    """A session whose character is equal receives no event, also with `scope: all` (promise 19)."""
    async with calling(client) as caller:
        await caller.respond()
        write("bob.py", character("Bob"))
        report = await reload(client, scope="all")
        assert report["sessions"] == {"policy": "follow", "total": 1, "affected": 0}
        assert (await caller.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"
        assert (await caller.respond())["status"] == "completed"
    assert value(client, "sessions_followed_total") == 0


@pytest.mark.parametrize("edited", [False, True])
async def test_no_build_is_kept_alive(client: Client, script: Script, write: Write, edited: bool) -> None:
    """Sessions move on with every reload, so no old build stays referenced (promise 25)."""
    async with calling(client) as caller, calling(client, model="Ada"):
        for number in range(4):
            await caller.respond()
            if edited:
                edit(write, f"v{number}")
            await reload(client, scope="all")
        await builds(client, 1)
        status = await (await client.get("/v1/characters/status")).json()
        assert status["generations"] == [{"generation": 5, "sessions": 2}]


async def test_followers_are_counted(client: Client, write: Write) -> None:
    """The report and the metric count the sessions that follow."""
    async with calling(client), calling(client):
        edit(write, "two")
        assert (await reload(client))["sessions"] == {"policy": "follow", "total": 2, "affected": 2}
    assert value(client, "sessions_followed_total") == 2


@pytest.mark.parametrize("policy", ["follow", "close_affected"])
async def test_a_removed_character_closes_its_session(
    client: Client, script: Script, write: Write, directory: Path, policy: str
) -> None:
    """A session whose character was removed is closed with 4004 and the reason; others continue (promise 29)."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with calling(client) as caller, calling(client, model="Bob") as bob:
        (directory / "ada.py").unlink()
        await reload(client, sessions=policy)
        assert await caller.end() == 4004
        assert (await bob.respond())["status"] == "completed"
    error = caller.events[-1]["error"]
    assert (error["type"], error["code"]) == ("fatal", "character_removed")
    assert f"'{full(client, 'Ada')}' was removed" in error["message"]
    assert closed(client, "character_removed") == 1


async def test_a_turn_of_a_character_that_is_gone_is_ended(
    client: Client, script: Script, write: Write, directory: Path
) -> None:
    """The current response of a removed character ends before the close."""
    write("bob.py", character("Bob"))
    await reload(client)
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        (directory / "ada.py").unlink()
        await reload(client)
        assert await caller.end() == 4004
        assert caller.since("response.created") == ["response.created", *MESSAGE, "response.done", "error"]
    assert failure(caller.events[-2]) == "character_removed"


async def test_a_client_of_which_nothing_is_known_follows(client: Client, script: Script, write: Write) -> None:
    """A client that has sent no event yet receives none, and then starts with the new version."""
    async with client.ws_connect(REALTIME) as ws:
        await until(lambda: len(client.app[SESSIONS]))
        edit(write, "two")
        await reload(client)
        await ws.send_json({"type": "response.create"})
        assert (await ws.receive_json(timeout=LIMIT))["type"] == "session.created"
        await until(lambda: script.requests)
    assert tags(script.requests[0]) == {"two"}


async def test_a_client_of_unknown_dialect_receives_the_close_message(
    client: Client, write: Write, directory: Path
) -> None:
    """A client with an unknown dialect receives the close message of the GA dialect."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        await until(lambda: len(client.app[SESSIONS]))
        (directory / "ada.py").unlink()
        await reload(client)
        (event,), code, _ = await events(ws)
    assert (event["error"]["code"], code) == ("character_removed", 4004)


async def test_the_choice_is_from_the_set_that_serves(client: Client, script: Script, write: Write) -> None:
    """The first `session.update` may choose a character of a later reload, in its latest version (promise 8)."""
    async with calling(client) as caller:
        for tag in ("two", "three"):
            edit(write, tag, "Bob")
            await reload(client)
        assert (await caller.update(model="Bob"))["model"] == full(client, "Bob")
        await caller.respond()
    assert tags(script.requests[0]) == {"three"}


@pytest.mark.parametrize("policy", ["follow", "close_affected", "keep"])
async def test_a_late_choice_counts_for_its_generation(
    client: Client, script: Script, write: Write, policy: str
) -> None:
    """A session counts for the generation of the character that it chose (promise 8)."""
    async with calling(client) as caller:
        edit(write, "two", "Bob")
        await reload(client, sessions=policy)
        await caller.update(model="Bob")
        assert generations(client) == [GenerationCount(generation=2, sessions=1)]


async def event_of(ws: ClientWebSocketResponse, kind: str) -> Any:
    """Return the next event of an Unmute client, which must be of that kind."""
    event = TABLE.validate_json(await ws.receive_str(timeout=LIMIT))
    assert event.type == kind, event
    return event


async def test_unmute_is_notified_in_its_dialect(client: Client, script: Script, write: Write) -> None:
    """An Unmute client receives its own `session.updated`, and is greeted by the new version."""
    asked = {"instructions": None, "voice": "Ada", "allow_recording": False}
    async with client.ws_connect("/v1/realtime") as ws:
        await ws.send_json({"type": "session.update", "session": asked})
        first = await event_of(ws, "session.updated")
        edit(write, "two")
        await reload(client)
        assert (await event_of(ws, "session.updated")).session == first.session
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        await event_of(ws, "response.created")
        await until(lambda: script.requests)
    assert tags(script.requests[0]) == {"two"}


async def test_unmute_chooses_from_the_set_that_serves(client: Client, script: Script, write: Write) -> None:
    """The voice that an Unmute client names before its greeting may be of a later reload."""
    async with client.ws_connect("/v1/realtime?dialect=unmute") as ws:
        edit(write, "two", "Bob")
        await reload(client)
        await ws.send_json({"type": "session.update", "session": {"voice": "Bob", "allow_recording": False}})
        await event_of(ws, "session.updated")
        assert generations(client) == [GenerationCount(generation=2, sessions=1)]
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        assert (await event_of(ws, "response.created")).response.voice == "Bob"
        await until(lambda: script.requests)
    assert tags(script.requests[0]) == {"two"}


async def test_a_close_after_a_follow(client: Client, script: Script, write: Write) -> None:
    """Each reload has its own policy: a session that followed one may be closed by the next."""
    async with calling(client) as caller:
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        await reload(client, sessions="close")
        assert await caller.end() == 1012
