"""What becomes of those who are talking when the characters are reloaded, over real sockets with a slow model."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType

from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from charhost.web.keys import CONVERSATIONS, MANAGER, METRICS, SESSIONS
from charhost.web.schemas import GenerationCount
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import end
from tests.tagged import Echo, Gate, edit, tags
from tests.web.realtime.event_grammar import Event
from tests.web.realtime.openai_client import DIALECTS, LIMIT, MESSAGE, REALTIME, Caller, Script, call, calling, spelled
from tests.web.realtime.server import RELOAD, StartClient, closed, events, reload, start, until
from tests.web.realtime.unmute_events import OGG_PAGE, TABLE

__all__ = ["start"]

GA = "/v1/realtime?dialect=ga"


@pytest.fixture
def settings(directory: Path, write: Write) -> Settings:
    """Settings under which conversations follow; of Ada everything says "one"."""
    edit(write, "one")
    return Settings(directory=directory, sessions="follow")


@pytest.fixture
async def script(client: Client) -> Script:
    """What the model of all characters says."""
    script = Script()
    client.app[CONVERSATIONS].models = script
    return script


def value(client: Client, name: str) -> float | None:
    """The present value of a metric."""
    return client.app[METRICS].registry.get_sample_value(f"charhost_{name}")


async def builds(client: Client, count: int) -> None:
    """Wait until the build threads have let go, and see that no more than so many builds are held."""
    async with asyncio.timeout(LIMIT):
        while value(client, "builds_alive") != count:
            gc.collect()
            await asyncio.sleep(0.01)


async def ends(client: Client, *, drained: int, cut: int) -> None:
    """Wait until all sessions are over, and see how they ended."""
    await until(lambda: not len(client.app[SESSIONS]))
    assert (value(client, "sessions_drained_total"), value(client, "sessions_cut_total")) == (drained, cut)


async def begin(caller: Caller) -> None:
    """Ask for an answer, and wait for its first words."""
    await caller.send("response.create")
    await caller.until("response.output_text.delta")


def failure(event: Event) -> Any:
    """Why a response failed."""
    return event["response"]["status_details"]["error"]["code"]


# Follow


@DIALECTS
async def test_the_next_turn_is_the_new_version_with_the_old_history(
    client: Client, script: Script, write: Write, dialect: Any
) -> None:
    """In the same socket the character has its new prompt and tools, and knows what was said before."""
    async with calling(client, dialect) as caller:
        await caller.say("Remember me.")
        await caller.respond()
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        await caller.respond()
    assert (tags(script.requests[0]), tags(script.requests[1])) == ({"one"}, {"two"})
    said = [message["content"] for message in script.requests[1].messages[1:]]
    assert said[:2] == ["Remember me.", "Yes."]


@DIALECTS
async def test_a_client_is_told_once_that_its_character_is_new(
    client: Client, script: Script, write: Write, dialect: Any
) -> None:
    """The event is a `session.updated` with the session as it was: the client has set nothing else."""
    async with calling(client, dialect) as caller:
        set_before = await caller.update(instructions="Be brief.")
        edit(write, "two")
        await reload(client)
        assert (await caller.next())["session"] == set_before
        assert (await caller.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"


async def test_what_a_client_has_set_stays(client: Client, script: Script, write: Write) -> None:
    """The instructions and the tools of the client's own go on beside those of the new version."""
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
    """An edit between two deltas is heard of in the next answer, not in this one."""
    script.then("Once", script.go, " upon.", call("ask_one", "{}"), end("tool_calls")).then("A time.")
    async with calling(client) as caller:
        await begin(caller)
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        await caller.say("And now?")
        await caller.respond()
    assert [tags(request) for request in script.requests] == [{"one"}, {"one"}, {"two"}]


@pytest.mark.parametrize("method", ["prompt", "tool"])
async def test_a_turn_whose_code_runs_ends_with_that_code(
    client: Client, script: Script, write: Write, directory: Path, method: str
) -> None:
    """Also an edit while the prompt is made, or a tool works, leaves the turn as it began, late imports included."""
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
        await caller.say("And now?")
        await caller.respond()
    assert [tags(request) for request in script.requests] == [{"one"}, {"one"}, {"two"}]


async def test_several_edits_during_one_turn(client: Client, script: Script, write: Write) -> None:
    """However often a character is saved meanwhile, the next answer is that of the last version."""
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


async def test_others_are_told_nothing(client: Client, script: Script, write: Write) -> None:
    """A session whose character is equal goes on without a word, also where all files were run anew (promise 19)."""
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
    """Sessions that have had turns move on with every reload, so that nothing holds an old build (promise 25)."""
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
    """The report says how many go on with a new version, the metric how many did."""
    async with calling(client), calling(client):
        edit(write, "two")
        assert (await reload(client))["sessions"] == {"policy": "follow", "total": 2, "affected": 2}
    assert value(client, "sessions_followed_total") == 2


@pytest.mark.parametrize("policy", ["follow", "close_affected"])
async def test_a_character_that_is_gone_says_so(
    client: Client, script: Script, write: Write, directory: Path, policy: str
) -> None:
    """Who talks to a character that is gone is told so, and closed with 4004; others go on (promise 29)."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with calling(client) as caller, calling(client, model="Bob") as bob:
        (directory / "ada.py").unlink()
        await reload(client, sessions=policy)
        assert await caller.end() == 4004
        assert (await bob.respond())["status"] == "completed"
    error = caller.events[-1]["error"]
    assert (error["type"], error["code"]) == ("fatal", "character_removed")
    assert "'Ada' was removed" in error["message"]
    assert closed(client, "character_removed") == 1


async def test_a_turn_of_a_character_that_is_gone_is_ended(
    client: Client, script: Script, write: Write, directory: Path
) -> None:
    """The answer that is under way has its end before its client is told."""
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
    """Before its first event a client is told nothing; then it is greeted by the new version."""
    async with client.ws_connect(REALTIME) as ws:
        await until(lambda: len(client.app[SESSIONS]))
        edit(write, "two")
        await reload(client)
        await ws.send_json({"type": "response.create"})
        assert (await ws.receive_json(timeout=LIMIT))["type"] == "session.created"
        await until(lambda: script.requests)
    assert tags(script.requests[0]) == {"two"}


async def test_a_client_of_which_nothing_is_known_is_told_of_a_loss(
    client: Client, write: Write, directory: Path
) -> None:
    """Where the dialect is not known the close message has the shape of the GA dialect."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        await until(lambda: len(client.app[SESSIONS]))
        (directory / "ada.py").unlink()
        await reload(client)
        (event,), code, _ = await events(ws)
    assert (event["error"]["code"], code) == ("character_removed", 4004)


async def test_the_choice_is_from_the_set_that_serves(client: Client, script: Script, write: Write) -> None:
    """The first `session.update` may choose a character that came with a reload, in its latest version (promise 8)."""
    async with calling(client) as caller:
        for tag in ("two", "three"):
            edit(write, tag, "Bob")
            await reload(client)
        assert (await caller.update(model="Bob"))["model"] == "Bob"
        await caller.respond()
    assert tags(script.requests[0]) == {"three"}


@pytest.mark.parametrize("policy", ["follow", "close_affected", "keep"])
async def test_a_late_choice_counts_for_its_generation(
    client: Client, script: Script, write: Write, policy: str
) -> None:
    """A session is on the generation of the character that it has (promise 8)."""
    async with calling(client) as caller:
        edit(write, "two", "Bob")
        await reload(client, sessions=policy)
        await caller.update(model="Bob")
        assert client.app[SESSIONS].by_generation() == [GenerationCount(generation=2, sessions=1)]


async def heard(ws: ClientWebSocketResponse, kind: str) -> Any:
    """What a client of unmute's hears next, which has to be of that kind."""
    event = TABLE.validate_json(await ws.receive_str(timeout=LIMIT))
    assert event.type == kind, event
    return event


async def test_unmute_is_told_in_its_own_words(client: Client, script: Script, write: Write) -> None:
    """A client of unmute gets its own `session.updated`, and is greeted by the new version."""
    asked = {"instructions": None, "voice": "Ada", "allow_recording": False}
    async with client.ws_connect("/v1/realtime") as ws:
        await ws.send_json({"type": "session.update", "session": asked})
        first = await heard(ws, "session.updated")
        edit(write, "two")
        await reload(client)
        assert (await heard(ws, "session.updated")).session == first.session
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        await heard(ws, "response.created")
        await until(lambda: script.requests)
    assert tags(script.requests[0]) == {"two"}


async def test_unmute_chooses_from_the_set_that_serves(client: Client, script: Script, write: Write) -> None:
    """The voice that a client of unmute names last, before it is greeted, may have come with a reload."""
    async with client.ws_connect("/v1/realtime?dialect=unmute") as ws:
        edit(write, "two", "Bob")
        await reload(client)
        await ws.send_json({"type": "session.update", "session": {"voice": "Bob", "allow_recording": False}})
        await heard(ws, "session.updated")
        assert client.app[SESSIONS].by_generation() == [GenerationCount(generation=2, sessions=1)]
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        assert (await heard(ws, "response.created")).response.voice == "Bob"
        await until(lambda: script.requests)
    assert tags(script.requests[0]) == {"two"}


async def test_a_close_after_a_follow(client: Client, script: Script, write: Write) -> None:
    """Each reload has its own policy: who has followed one may be closed by the next."""
    async with calling(client) as caller:
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        await reload(client, sessions="close")
        assert await caller.end() == 1012


# Keep


async def test_keep_is_the_old_version_in_all(client: Client, script: Script, write: Write) -> None:
    """Through many reloads prompt, tools, helpers and late imports stay those that the session began with."""
    script.then(call("ask_v0", "{}"), end("tool_calls")).then("Done.")
    edit(write, "v0")
    await reload(client)
    async with calling(client) as caller:
        for number in range(1, 6):
            edit(write, f"v{number}")
            await reload(client, sessions="keep", scope="all" if number % 2 else "changed")
        await caller.respond()
        assert [tags(request) for request in script.requests] == [{"v0"}, {"v0"}]
        assert client.app[SESSIONS].by_generation() == [GenerationCount(generation=2, sessions=1)]
        async with calling(client) as other:
            await other.respond()
    assert tags(script.requests[2]) == {"v5"}


async def test_keep_holds_one_build_until_the_session_ends(client: Client, script: Script, write: Write) -> None:
    """What was kept for a session goes with it (promise 25)."""
    async with calling(client, model="Ada") as caller:
        await caller.respond()
        for number in range(3):
            edit(write, f"v{number}")
            await reload(client, sessions="keep")
        await builds(client, 2)
    await builds(client, 1)


async def test_keep_outlives_its_file(client: Client, script: Script, write: Write, directory: Path) -> None:
    """A session goes on with a character that is gone, its late imports too."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with calling(client) as caller:
        (directory / "ada.py").unlink()
        (directory / "_ada.py").unlink()
        report = await reload(client, sessions="keep")
        assert report["sessions"] == {"policy": "keep", "total": 1, "affected": 0}
        await caller.respond()
    assert tags(script.requests[0]) == {"one"}


async def test_follow_after_keep(client: Client, script: Script, write: Write) -> None:
    """A session that was kept moves on at a reload that says so, though its character did not change in that one."""
    async with calling(client) as caller:
        edit(write, "two")
        await reload(client, sessions="keep")
        await reload(client, sessions="follow")
        await caller.until("session.updated")
        await caller.respond()
    assert tags(script.requests[0]) == {"two"}


# close_affected


async def test_close_affected_closes_those_alone(client: Client, script: Script, write: Write) -> None:
    """Who talks to another character than the edited one goes on, in the middle of an answer too (promise 19)."""
    edit(write, "one", "Bob")
    await reload(client)
    script.then("Once", script.go)
    async with calling(client) as ada, calling(client, model="Bob") as bob:
        await begin(ada)
        edit(write, "two", "Bob")
        report = await reload(client, sessions="close_affected")
        assert report["sessions"] == {"policy": "close_affected", "total": 2, "affected": 1}
        assert (await bob.end(), bob.events[-1]["error"]["code"]) == (1012, "characters_reloaded")
        script.go.set()
        assert (await ada.until("response.done"))["response"]["status"] == "completed"


# Drain


async def test_a_drain_lets_an_answer_finish(client: Client, script: Script, write: Write) -> None:
    """Who is in the middle of an answer hears it to its end, of the old version, and is closed then (promise 28)."""
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
async def test_at_the_deadline_everybody_is_cut(client: Client, script: Script, dialect: Any) -> None:
    """An answer that takes too long ends like one that nobody waited for: its tail, then the reason (promise 28)."""
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
    """Where nobody waits an answer is cut at once, and counted so."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close")
        assert await caller.end() == 1012
    await ends(client, drained=0, cut=1)


async def test_silence_is_not_waited_for(client: Client, script: Script) -> None:
    """A session in which nothing is being said is closed at once, whatever the drain."""
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
    """Another answer is refused, and the one under way is untouched; other events are still obeyed."""
    script.then("Once", script.go, " upon.")
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=60)
        error = await caller.error("response.create", response={"conversation": conversation})
        assert (error["type"], error["code"]) == ("invalid_request_error", "characters_reloaded")
        await caller.say("One more thing.")
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        assert await caller.end() == 1012
    assert len(script.requests) == 1


async def test_two_reloads_in_one_drain(client: Client, script: Script, write: Write) -> None:
    """A second reload neither touches those who are let finish nor sends them a second close message."""
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
    """When the server goes away those who were let finish are told at once."""
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
async def test_a_reload_that_changes_nothing_drains_nobody(
    client: Client, script: Script, write: Write, fields: dict[str, object]
) -> None:
    """After a dry run or a refusal a client may ask for the next answer as before (promise 9)."""
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
    """Where the request does not say how long, the setting does; and zero in a request means zero."""
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
    """A drain holds under `follow` too, where the character of a session is gone (promise 28)."""
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


async def test_unmute_hears_its_character_out(client: Client, script: Script) -> None:
    """A greeting that is under way is finished before a client of unmute is closed (promise 28)."""
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
    """The old version goes with the session that was let finish, long before the deadline (promise 25)."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=3600)
        script.go.set()
        assert await caller.end() == 1012
    await builds(client, 1)


async def test_who_says_goodbye_is_not_cut(client: Client, script: Script) -> None:
    """A conversation that the character ends was neither cut nor drained."""
    script.then("Bye!")
    async with client.ws_connect("/v1/realtime?dialect=unmute") as ws:
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await ws.send_json({"type": "input_audio_buffer.append", "audio": OGG_PAGE})
        assert (await events(ws))[1] == 1000
    await until(lambda: closed(client, "goodbye"))
    await ends(client, drained=0, cut=0)


async def test_who_leaves_during_a_drain_ends_the_conversation(client: Client, script: Script) -> None:
    """A client that hangs up in the middle of its last answer counts as one that left."""
    script.then("Once", script.go)
    async with calling(client) as caller:
        await begin(caller)
        await reload(client, sessions="close", drain_seconds=3600)
        await caller.error("response.create")
    await until(lambda: closed(client, "client"))
    assert (value(client, "sessions_drained_total"), value(client, "sessions_parked")) == (0, 0)


# When to come back


@DIALECTS
async def test_a_session_says_how_long_a_client_may_have_to_wait(start: StartClient, dialect: Any) -> None:
    """`session.created` and `session.updated` tell the largest `retry_after_ms` to expect."""
    client = await start(max_sessions=101, max_reconnects_per_second=50)
    async with calling(client, dialect) as caller:
        assert caller.events[0]["session"]["retry_after_max_ms"] == 2000
        assert (await caller.update())["retry_after_max_ms"] == 2000


async def test_the_rate_of_the_return_can_be_set(start: StartClient) -> None:
    """Thirty clients at ten a second are sent away for at most 2.9 s, most of them for more than the default's."""
    client = await start(max_reconnects_per_second=10)
    sockets = [await client.ws_connect(GA) for _ in range(30)]
    await reload(client)
    waits = [(await events(ws))[0][-1]["error"]["retry_after_ms"] for ws in sockets]
    assert 145 < max(waits) <= 2900


# Two hundred conversations


class Talker:
    """A client that always listens and now and then asks; each answer has to be of one version."""

    def __init__(self, ws: ClientWebSocketResponse, tasks: asyncio.TaskGroup) -> None:
        self.ws = ws
        self.seen: list[str] = []
        self.listening = tasks.create_task(self.listen())
        self._answers: asyncio.Queue[Event] = asyncio.Queue()

    async def turn(self) -> str:
        """Have one answer; answers its tag."""
        content = [{"type": "input_text", "text": "And now?"}]
        item = {"type": "message", "role": "user", "content": content}
        await self.ws.send_json({"type": "conversation.item.create", "item": item})
        await self.ws.send_json({"type": "response.create"})
        (item,) = (await asyncio.wait_for(self._answers.get(), LIMIT))["output"]
        (tag,) = json.loads(item["content"][0]["text"])
        self.seen.append(tag)
        return str(tag)

    async def listen(self) -> None:
        """Take what comes, which must neither be an error nor the end."""
        while (message := await self.ws.receive()).type is WSMsgType.TEXT:
            event = message.json()
            assert event["type"] != "error", event
            if event["type"] == "response.done":
                self._answers.put_nowait(event["response"])
        raise AssertionError(message)


Connect = Callable[[Client, str], Awaitable[ClientWebSocketResponse]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens as many sockets as a test likes; aiohttp's own client of an application holds a hundred."""

    async def connect(client: Client, path: str) -> ClientWebSocketResponse:
        return await session.ws_connect(client.make_url(path))

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        yield connect


async def test_two_hundred_conversations_and_a_thousand_edits(client: Client, connect: Connect, write: Write) -> None:
    """Nobody is disconnected, no turn mixes two versions, and nothing old is left (promises 19 and 25)."""
    edits, names = int(os.environ.get("FOLLOW_EDITS", "1000")), ["Ada", *(f"C{number:02}" for number in range(19))]
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
            report = await client.app[MANAGER].reload_characters(ReloadRequest(scope="changed"))
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
