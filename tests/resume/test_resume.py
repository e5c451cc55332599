"""Clients that lost their session come back for it with ?resume=, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from charhost.web.keys import SESSIONS
from charhost.web.process.server_loop import raise_descriptor_limit
from charhost.web.realtime import unmute
from charhost.web.sessions.sessions import GenerationCount
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.resume.helpers import NOT_FOUND, disconnected, live, lose, refusal, resuming, session_id
from tests.scripted import end
from tests.tagged import edit, tags
from tests.web.named_set import client, set_name, start_app
from tests.web.realtime.openai_client import DIALECTS, LIMIT, MESSAGE, REALTIME, Script, call, calling
from tests.web.realtime.server import StartClient, events, fill_pipes, reload, start, stuck_client, until
from tests.web.sessions.conversations import Connect, begin, builds, connect, failure, full, generations, script, value

__all__ = ["client", "connect", "script", "set_name", "start", "start_app"]


@pytest.mark.parametrize("how", ["reload", "cut line", "fault", "gone away"])
async def test_a_conversation_is_found_again(client: Client, script: Script, how: str) -> None:
    """However a client lost its socket, it finds its conversation again, and the model receives it (promise 30)."""
    async with calling(client) as lost:
        added = await lost.add("Remember me.")
        await lost.respond()
        await lose(client, lost, how)
    await disconnected(client)
    async with resuming(client, lost) as caller:
        found = await caller.ask("conversation.item.retrieve", item_id=added["item"]["id"])
        assert found["item"] == added["item"]
        await caller.add("Who am I?")
        await caller.respond()
    said_to_model = [message["content"] for message in script.messages[1:]]
    assert said_to_model == ["Remember me.", "Yes.", "Who am I?"]


@DIALECTS
async def test_the_session_is_as_it_was(client: Client, script: Script, dialect: Any) -> None:
    """A resumed session has the same id, settings, conversation and dialect."""
    tool = {"type": "function", "name": "mine", "description": "x", "parameters": {"type": "object"}}
    async with calling(client, dialect) as lost:
        set_before = await lost.update(instructions="Be brief.", tools=[tool])
        conversation = (await lost.respond())["conversation_id"]
        await reload(client)
        await lost.end()
    async with resuming(client, lost) as caller:
        assert caller.events[0]["session"] == set_before
        assert (await caller.respond())["conversation_id"] == conversation
    assert script.messages[0]["content"] == "Be kind.\n\nBe brief."
    assert [tool["function"]["name"] for tool in script.requests[-1].tools] == ["mine"]


@pytest.mark.parametrize("query", [{}, {"dialect": "ga"}, {"dialect": "unmute"}, {"model": "Bob"}])
async def test_the_dialect_is_that_of_the_session(client: Client, script: Script, query: dict[str, str]) -> None:
    """With `resume` a client is greeted at once, in the dialect of its session, whatever else its query has."""
    async with calling(client, "beta") as lost:
        await reload(client)
        await lost.end()
    async with client.ws_connect(REALTIME, params={"resume": session_id(lost), **query}) as ws:
        created = await ws.receive_json(timeout=LIMIT)
    assert (created["type"], "modalities" in created["session"]) == ("session.created", True)


async def test_the_dialect_of_the_first_event_is_kept(client: Client, script: Script) -> None:
    """A dialect that was known by the first event only is kept for the resume."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.send_json({"type": "session.update", "session": {"modalities": ["text"]}})
        found = (await ws.receive_json(timeout=LIMIT))["session"]["id"]
        await reload(client)
        await events(ws)
    async with client.ws_connect(REALTIME, params={"resume": found}) as ws:
        assert "modalities" in (await ws.receive_json(timeout=LIMIT))["session"]


@pytest.mark.parametrize("model", ["Bob", "nobody", ""])
async def test_a_model_beside_it_is_ignored(client: Client, script: Script, write: Write, model: str) -> None:
    """A client that comes back with the URL that it came with first finds its own character (promise 30)."""
    write("bob.py", character("Bob", "Be wild."))
    await reload(client)
    async with calling(client) as lost:
        await reload(client)
        await lost.end()
    async with calling(client, resume=session_id(lost), model=model) as caller:
        assert caller.events[0]["session"]["model"] == full(client, "Ada")
        assert (await caller.update(model="Bob"))["model"] == full(client, "Ada")
        await caller.respond()
    assert script.messages[0]["content"] == "Be kind."


@pytest.mark.parametrize("how", ["reload", "cut line"])
async def test_the_text_of_a_cut_response_is_kept(client: Client, script: Script, how: str) -> None:
    """The text of a response that was cut is in the history, as an incomplete item."""
    script.then("Once upon", script.go)
    async with calling(client) as lost:
        await lost.add("Tell me.")
        await begin(lost)
        item = lost.events[-1]["item_id"]
        await lose(client, lost, how)
    await disconnected(client)
    async with resuming(client, lost) as caller:
        found = (await caller.ask("conversation.item.retrieve", item_id=item))["item"]
        assert (found["status"], found["content"][0]["text"]) == ("incomplete", "Once upon")
        await caller.add("Go on.")
        await caller.respond()
    assert [message["content"] for message in script.messages[1:]] == ["Tell me.", "Once upon", "Go on."]


async def test_what_the_character_has_looked_up_is_kept(client: Client, script: Script, write: Write) -> None:
    """After a resume the model also receives earlier calls and results of the character's own tools."""
    edit(write, "one")
    await reload(client)
    script.then(call("ask_one", "{}"), end("tool_calls")).then("Done.")
    async with calling(client) as lost:
        await lost.respond()
        await reload(client)
        await lost.end()
    async with resuming(client, lost) as caller:
        await caller.respond()
    assert [message["role"] for message in script.messages[1:]] == ["user", "assistant", "tool", "assistant"]


async def test_the_character_is_as_it_is_now(client: Client, script: Script, write: Write) -> None:
    """A resumed conversation has the new version of its character: prompt, tools and helpers."""
    edit(write, "one")
    await reload(client)
    async with calling(client) as lost:
        await lost.respond()
        edit(write, "two")
        await reload(client)
        await lost.end()
    async with resuming(client, lost) as caller:
        assert generations(client) == [GenerationCount(generation=3, sessions=1)]
        await caller.respond()
    assert (tags(script.requests[0]), tags(script.requests[1])) == ({"one"}, {"two"})


async def test_a_conversation_is_found_again_and_again(client: Client, script: Script) -> None:
    """A client may be lost and come back as often as it likes, with the same id."""
    async with calling(client) as first:
        await reload(client)
        await first.end()
    lost = first
    for number in range(5):
        async with resuming(client, lost) as caller:
            assert session_id(caller) == session_id(first)
            await caller.add(f"Number {number}.")
            await lose(client, caller, ("reload", "cut line")[number % 2])
        await disconnected(client)
        lost = caller
    async with resuming(client, lost) as caller:
        await caller.respond()
    assert [message["content"] for message in script.messages[1:]] == [f"Number {number}." for number in range(5)]
    assert value(client, "sessions_resumed_total") == 6


async def test_a_resumed_session_is_reloaded_like_any_other(client: Client, script: Script, write: Write) -> None:
    """A resumed session follows the next edit."""
    async with calling(client) as lost:
        await reload(client)
        await lost.end()
    async with resuming(client, lost) as caller:
        edit(write, "two")
        await reload(client, sessions="follow")
        await caller.until("session.updated")
        await caller.respond()
    assert tags(script.requests[0]) == {"two"}


async def test_a_removed_character_is_reported(client: Client, script: Script, directory: Path) -> None:
    """Without its character a conversation is not resumed with another one, and with the character it is again
    (promise 30)."""
    (directory / "bob.py").write_text(character("Bob"))
    async with calling(client) as lost:
        await lost.add("Remember me.")
        (directory / "ada.py").rename(directory / "ada.txt")
        await reload(client, sessions="close_affected")
        assert await lost.end() == 4004
    assert await refusal(client, session_id(lost)) == ("character_removed", 4004)
    assert value(client, "sessions_resume_refused_total") == 1
    (directory / "ada.txt").rename(directory / "ada.py")
    await reload(client)
    async with resuming(client, lost) as caller:
        await caller.respond()
    assert script.messages[1]["content"] == "Remember me."


@pytest.mark.parametrize("resume", ["sess_0123456789abcdef01234567", "", "x" * 4000, "sess_é\x00"])
async def test_an_unknown_session_is_refused(client: Client, script: Script, resume: str) -> None:
    """The resume of an unknown session is refused with the reason, without a greeting (promise 30)."""
    assert await refusal(client, resume) == NOT_FOUND
    assert value(client, "sessions_resume_refused_total") == 1
    assert len(client.app[SESSIONS]) == 0


async def test_a_session_expires(start: StartClient) -> None:
    """After its time a conversation is gone, and no memory is used for it."""
    client = await start(resume_ttl=0.05)
    async with calling(client) as lost:
        await reload(client)
        await lost.end()
    await until(lambda: not len(client.app[SESSIONS]) and not value(client, "sessions_parked"))
    assert await refusal(client, session_id(lost)) == NOT_FOUND


@pytest.mark.parametrize("frame", [b"", b"\x03\xe8", b"\x03\xe8Thank you"])
async def test_a_normal_close_leaves_nothing_to_resume(client: Client, script: Script, frame: bytes) -> None:
    """A normal close by the client ends the conversation, also that of a page, which has no code."""
    async with calling(client) as lost:
        await lost.ws._writer.send_frame(frame, WSMsgType.CLOSE)
        await until(lambda: not len(client.app[SESSIONS]))
    await disconnected(client, 0)
    assert await refusal(client, session_id(lost)) == NOT_FOUND


async def test_an_ended_conversation_is_not_resumed(client: Client, script: Script) -> None:
    """A conversation that the character has ended cannot be resumed."""
    script.then("Bye!")
    async with client.ws_connect(REALTIME, params={"dialect": "unmute"}) as ws:
        await greeted(ws)
        await events(ws)
    await disconnected(client, 0)


async def test_the_oldest_goes_when_there_are_too_many(start: StartClient) -> None:
    """Over the limit the oldest saved conversations are dropped."""
    client = await start(resume_max=2)
    lost = []
    for _ in range(3):
        async with calling(client) as caller:
            await reload(client)
            await caller.end()
        lost.append(caller)
        await until(lambda: not len(client.app[SESSIONS]))
    assert value(client, "sessions_parked") == 2
    assert await refusal(client, session_id(lost[0])) == NOT_FOUND
    for one in lost[1:]:
        async with resuming(client, one):
            pass


def bearer(key: str) -> dict[str, Any]:
    """Return the connection options of a client with that key."""
    return {"headers": {"Authorization": f"Bearer {key}"}}


async def created(client: Client, **options: Any) -> tuple[ClientWebSocketResponse, str]:
    """A client that was greeted, and its session's id."""
    ws = await client.ws_connect(REALTIME, **options)
    event = await ws.receive_json(timeout=LIMIT)
    assert event["type"] == "session.created"
    return ws, event["session"]["id"]


@pytest.mark.parametrize("is_open", [False, True])
async def test_another_key_does_not_open_it(start: StartClient, is_open: bool) -> None:
    """With another key a session is unknown, and its owner is not affected (promise 30)."""
    client = await start(api_key="mine,yours")
    ws, found = await created(client, **bearer("mine"))
    if not is_open:
        await reload(client)
        await events(ws)
        await disconnected(client)
    assert await refusal(client, found, **bearer("yours")) == NOT_FOUND
    if is_open:
        await ws.send_json({"type": "input_audio_buffer.clear"})
        assert (await ws.receive_json(timeout=LIMIT))["type"] == "input_audio_buffer.cleared"
    again, same = await created(client, params={"resume": found}, **bearer("mine"))
    assert same == found
    await again.close()
    await ws.close()


async def test_the_same_key_may_come_as_a_subprotocol(start: StartClient) -> None:
    """A session can be resumed with the same key in a subprotocol."""
    client = await start(api_key="mine,yours")
    ws, found = await created(client, **bearer("mine"))
    await reload(client)
    await events(ws)
    protocols = ("realtime", "openai-insecure-api-key.mine")
    again, same = await created(client, params={"resume": found}, protocols=protocols)
    assert same == found
    await again.close()


async def test_without_a_key_sessions_are_not_revealed(start: StartClient) -> None:
    """A page with a wrong key is refused for that, and a session with the requested id continues."""
    client = await start(api_key="mine")
    ws, found = await created(client, **bearer("mine"))
    protocols = ("realtime", "openai-insecure-api-key.wrong")
    async with client.ws_connect(REALTIME, params={"resume": found}, protocols=protocols) as page:
        (event,), code, _ = await events(page)
    assert (event["error"]["code"], code) == ("invalid_api_key", 3000)
    assert (len(client.app[SESSIONS]), value(client, "sessions_resume_refused_total")) == (1, 0)
    await ws.close()


async def test_a_second_socket_takes_over(client: Client, script: Script) -> None:
    """The first socket is closed with 4009 and the reason, and the second one continues the conversation."""
    async with calling(client) as first:
        await first.add("Remember me.")
        async with resuming(client, first) as second:
            assert await first.end() == 4009
            await second.respond()
            assert len(client.app[SESSIONS]) == 1
    error = first.events[-1]["error"]
    assert (error["type"], error["code"]) == ("fatal", "session_taken_over")
    assert script.messages[1]["content"] == "Remember me."


async def test_a_takeover_in_the_middle_of_an_answer(client: Client, script: Script) -> None:
    """A response ends on the first socket, and its text is known on the second."""
    script.then("Once upon", script.go)
    async with calling(client) as first:
        await begin(first)
        item = first.events[-1]["item_id"]
        async with resuming(client, first) as second:
            assert await first.end() == 4009
            assert (await second.ask("conversation.item.retrieve", item_id=item))["item"]["status"] == "incomplete"
            assert (await second.respond())["status"] == "completed"
    assert first.since("response.created") == ["response.created", *MESSAGE, "response.done", "error"]
    assert failure(first.events[-2]) == "session_taken_over"


async def test_a_takeover_during_a_drain(client: Client, script: Script) -> None:
    """A client that comes back while its old socket is let finish gets its session at once."""
    script.then("Once", script.go)
    async with calling(client) as first:
        await begin(first)
        await reload(client, drain_seconds=3600)
        async with resuming(client, first) as second:
            assert await first.end() == 4009
            assert (await second.respond())["status"] == "completed"


async def test_a_takeover_from_a_client_that_does_not_read(start: StartClient) -> None:
    """A socket that does not read is disconnected, so that the resuming client need not wait."""
    client = await start(close_grace=0.2)
    async with stuck_client(client) as stuck:
        found = json.loads(await stuck.recv())["session"]["id"]
        await fill_pipes(client, stuck)
        async with calling(client, resume=found) as second:
            assert (session_id(second), len(client.app[SESSIONS])) == (found, 1)


@pytest.mark.parametrize("is_open", [False, True])
async def test_many_come_back_at_the_same_moment(client: Client, script: Script, is_open: bool) -> None:
    """Of many concurrent resumes one has the session in the end, each other one had it before, and none is refused."""
    async with calling(client) as lost:
        if not is_open:
            await reload(client)
            await lost.end()
            await disconnected(client)
        sockets = await asyncio.gather(
            *(client.ws_connect(REALTIME, params={"resume": session_id(lost)}) for _ in range(5))
        )
        for ws in sockets:
            assert (await ws.receive_json(timeout=LIMIT))["type"] == "session.created"
        await until(lambda: len(client.app[SESSIONS]) == 1)
        ends = [await ws.receive(timeout=LIMIT) for ws in sockets if ws is not await survivor(client, sockets)]
    assert [json.loads(message.data)["error"]["code"] for message in ends] == ["session_taken_over"] * 4
    for ws in sockets:
        await ws.close()


async def survivor(client: Client, sockets: list[ClientWebSocketResponse]) -> ClientWebSocketResponse:
    """The socket of the only open session."""
    peer = live(client).outbox._request.transport
    assert peer is not None
    name = peer.get_extra_info("peername")
    return next(ws for ws in sockets if ws.get_extra_info("sockname") == name)


async def test_disconnecting_while_waiting_affects_no_other_client(start: StartClient) -> None:
    """A client that gives up while the first socket is being closed leaves the conversation to the next."""
    client = await start(close_grace=0.5)
    async with stuck_client(client) as stuck:
        found = json.loads(await stuck.recv())["session"]["id"]
        await fill_pipes(client, stuck)
        impatient = await client.ws_connect(REALTIME, params={"resume": found})
        impatient._writer.transport.abort()
        async with calling(client, resume=found) as caller:
            assert session_id(caller) == found
        await impatient.close()


async def test_a_disconnected_session_holds_no_build(client: Client, script: Script, write: Write) -> None:
    """A saved conversation refers to its character only by name (promise 25)."""
    async with calling(client) as lost:
        await lost.respond()
        edit(write, "two")
        await reload(client)
        await lost.end()
    await disconnected(client)
    await builds(client, 1)


async def test_disconnected_sessions_are_counted(client: Client, script: Script) -> None:
    """The gauge counts the sessions that can be resumed, without those that were."""
    async with calling(client) as lost, calling(client) as other:
        await reload(client)
        await lost.end()
        await other.end()
    await disconnected(client, 2)
    async with resuming(client, lost):
        assert value(client, "sessions_parked") == 1
    await disconnected(client, 1)
    assert value(client, "sessions_resumed_total") == 1


async def greeted(ws: ClientWebSocketResponse) -> None:
    """Send the first events of an Unmute client: an update, and audio that starts the greeting."""
    await ws.send_json({"type": "session.update", "session": {"voice": None, "allow_recording": False}})
    assert (await ws.receive_json(timeout=LIMIT))["type"] == "session.updated"
    await ws.send_json({"type": "input_audio_buffer.append", "audio": "T2dnUwAA"})


@pytest.mark.parametrize("was_greeted", [False, True])
async def test_a_client_of_unmute_is_greeted_once(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch, was_greeted: bool
) -> None:
    """A resumed Unmute client is greeted only if it was not greeted before."""
    monkeypatch.setattr(unmute, "GREETING_DELAY", 0.01 if was_greeted else 60)
    async with client.ws_connect(REALTIME, params={"dialect": "unmute"}) as ws:
        await ws.send_json({"type": "session.update", "session": {"voice": None, "allow_recording": False}})
        await until(lambda: script.ended == was_greeted and client.app[SESSIONS]._live)
        await until(lambda: not was_greeted or not live(client).work.turns)
        found = live(client).id
        await reload(client)
        await events(ws)
    monkeypatch.setattr(unmute, "GREETING_DELAY", 0.01)
    async with client.ws_connect(REALTIME, params={"resume": found}) as ws:
        await greeted(ws)
        await ws.send_json({"type": "input_audio_buffer.append", "audio": 5})  # answered with an error
        while (await ws.receive_json(timeout=LIMIT))["type"] != "error":
            pass  # of the greeting, which may come first
        await asyncio.sleep(0.05)
        await until(lambda: live(client).saved.config["greeted"])  # type: ignore[index]
    assert len(script.requests) == 1


async def test_what_a_client_of_unmute_has_set_is_kept(client: Client, script: Script, write: Write) -> None:
    """The settings of an Unmute client are in the event after a resume when its character is new."""
    asked = {"voice": "Ada", "allow_recording": True}
    async with client.ws_connect(REALTIME, params={"dialect": "unmute"}) as ws:
        await ws.send_json({"type": "session.update", "session": asked})
        await ws.receive_json(timeout=LIMIT)
        found = live(client).id
        await reload(client)
        await events(ws)
    async with client.ws_connect(REALTIME, params={"resume": found}) as ws:
        await until(lambda: client.app[SESSIONS]._live and live(client).settings)
        edit(write, "two")
        await reload(client, sessions="follow")
        assert (await ws.receive_json(timeout=LIMIT))["session"] == asked


async def cut_off_and_back(client: Client, connect: Connect, count: int, *, honour: bool) -> list[int]:
    """Close *count* sessions by a reload, resume them all, and return the delay of each, in milliseconds."""
    ids, back = {}, list[int]()
    sockets = [await connect(client, f"{REALTIME}?dialect=ga") for _ in range(count)]
    for number, ws in enumerate(sockets):
        item = {"id": f"item_{number}", "type": "message", "role": "user"}
        content = [{"type": "input_text", "text": f"I am {number}."}]
        await ws.send_json({"type": "conversation.item.create", "item": item | {"content": content}})
        received = [await ws.receive_json(timeout=LIMIT) for _ in range(3)]
        ids[number] = received[0]["session"]["id"]

    async def come_back(number: int) -> None:
        (event,), code, _ = await events(sockets[number])
        assert (event["error"]["code"], code) == ("characters_reloaded", 1012)
        await asyncio.sleep(event["error"]["retry_after_ms"] / 1000 if honour else 0)
        ws = await connect(client, f"{REALTIME}?resume={ids[number]}")
        back.append(event["error"]["retry_after_ms"])
        await ws.send_json({"type": "conversation.item.retrieve", "item_id": f"item_{number}"})
        created, found = [await ws.receive_json(timeout=60) for _ in range(2)]
        assert (created["type"], created["session"]["id"]) == ("session.created", ids[number])
        assert found["item"]["content"][0]["text"] == f"I am {number}."
        await ws.close()

    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(come_back(number))
        assert (await reload(client))["sessions"]["affected"] == count
    return sorted(back)


COUNT = int(os.environ.get("RESUME_SESSIONS", "200"))


async def test_the_return_of_all_is_spread(start: StartClient, connect: Connect) -> None:
    """Clients that wait for their delay resume at the configured rate, each its own session (promise 29)."""
    raise_descriptor_limit()
    client = await start(max_reconnects_per_second=COUNT / 2)
    back = await cut_off_and_back(client, connect, COUNT, honour=True)
    assert len(back) == COUNT
    assert back[-1] - back[0] > 1000
    busiest = max(sum(moment <= other < moment + 500 for other in back) for moment in back)
    assert busiest < COUNT * 0.4  # a quarter, and some by chance


async def test_the_return_of_all_at_once(start: StartClient, connect: Connect) -> None:
    """Clients that do not wait find their conversations as well."""
    raise_descriptor_limit()
    client = await start()
    assert len(await cut_off_and_back(client, connect, COUNT, honour=False)) == COUNT
