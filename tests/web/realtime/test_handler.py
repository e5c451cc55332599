"""/v1/realtime: a socket and the character it talks to. Real sockets throughout."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import websockets
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web

from charhost.character.character import CharacterSet
from charhost.reload.swap import Swap
from charhost.web.connections import readers
from charhost.web.keys import SESSIONS, SETS
from charhost.web.realtime.openai import OpenAIHandler
from charhost.web.sessions.sessions import GenerationCount
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.web.named_set import client, set_name, start_app
from tests.web.realtime.server import (
    HOLDING,
    REALTIME,
    RELOAD,
    StartClient,
    closed,
    events,
    fill_pipes,
    flood,
    reload,
    start,
    stuck_client,
    until,
)
from tests.web.sessions.conversations import full, generations

__all__ = ["client", "set_name", "start", "start_app"]


async def update(ws: ClientWebSocketResponse, **session: object) -> Any:
    """Send a session.update, and return its response."""
    await ws.send_json({"type": "session.update", "session": session})
    return await ws.receive_json(timeout=60)


async def ask(ws: ClientWebSocketResponse, event: object) -> Any:
    """Send an event, and return its error."""
    await ws.send_str(event if isinstance(event, str) else json.dumps(event))
    answer = await ws.receive_json(timeout=60)
    assert answer["type"] == "error"
    return answer["error"]


# The handshake


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ((), None),
        (("realtime",), "realtime"),
        (("realtime", "openai-insecure-api-key.s3cret"), "realtime"),
        (("x",), None),
    ],
)
async def test_the_subprotocol_is_selected_when_it_is_offered(
    client: Client, offered: tuple[str, ...], selected: str | None
) -> None:
    """The subprotocol `realtime` is selected only if it was offered, since clients abort otherwise."""
    async with client.ws_connect(REALTIME, protocols=offered) as ws:
        assert ws.protocol == selected


@pytest.mark.parametrize("others", [(), ("openai-beta.realtime-v1",)])
async def test_a_key_among_the_subprotocols_is_not_logged(
    client: Client, caplog: pytest.LogCaptureFixture, others: tuple[str, ...]
) -> None:
    """A key offered as a subprotocol stays out of the log when no offered subprotocol is selected."""
    caplog.set_level(logging.DEBUG)
    async with client.ws_connect(REALTIME, protocols=(*others, "openai-insecure-api-key.s3cret")) as ws:
        await ws.receive()
    assert ws.protocol is None
    assert "s3cret" not in caplog.text


async def test_mismatched_subprotocols_without_a_key_are_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """aiohttp's warning about subprotocols that the server does not know is dropped only because of a key."""
    async with client.ws_connect(REALTIME, protocols=("x.unknown",)) as ws:
        await ws.receive()
    assert "x.unknown" in caplog.text


async def test_a_plain_get_requires_an_upgrade(client: Client) -> None:
    """A request without a WebSocket handshake is refused, with the missing header."""
    answer = await client.get(REALTIME)
    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")


async def test_a_refused_handshake_has_the_error_shape_of_openai(client: Client) -> None:
    """A refused handshake has an error of OpenAI's shape."""
    error = (await (await client.get(REALTIME)).json())["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "upgrade_required", None)
    assert error["message"]


async def test_a_page_of_this_machine_may_talk(client: Client) -> None:
    """Without `--cors-origin` a page of any port of localhost may: unmute's frontend has one of its own."""
    async with client.ws_connect(REALTIME, headers={"Origin": "http://localhost:3000"}) as ws:
        assert (await ws.receive_json())["type"] == "session.created"


async def test_frames_are_not_compressed(client: Client) -> None:
    """Compression costs 85 kB for each client and gains nothing for small frames."""
    async with client.ws_connect(REALTIME, compress=15) as ws:
        assert not ws.compress


async def test_the_server_asks_whether_a_client_is_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every now and then the client is pinged."""
    monkeypatch.setattr("charhost.web.sessions.heartbeat.PING_INTERVAL", 0.05)
    async with client.ws_connect(REALTIME, autoping=False) as ws:
        await ws.receive()
        assert (await ws.receive(timeout=60)).type is WSMsgType.PING


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_without_the_key_there_is_no_handshake(start: StartClient, headers: dict[str, str]) -> None:
    """With a configured key a missing or wrong one is refused before the upgrade."""
    client = await start(api_key="s3cret")
    with pytest.raises(WSServerHandshakeError) as refused:
        await client.ws_connect(REALTIME, headers=headers)
    assert refused.value.status == 401


async def test_without_the_key_the_protocol_is_not_revealed(start: StartClient) -> None:
    """With a configured key a plain request without it is refused for that first."""
    client = await start(api_key="s3cret")
    assert (await client.get(REALTIME)).status == 401


async def test_a_page_receives_the_error_of_a_wrong_key(start: StartClient) -> None:
    """A page with a wrong key receives an event and close code 3000, as it cannot read the status of a handshake."""
    client = await start(api_key="s3cret")
    async with client.ws_connect(REALTIME, protocols=("realtime", "openai-insecure-api-key.wrong")) as ws:
        (event,), code, reason = await events(ws)
    assert (code, reason) == (3000, "invalid_request_error.invalid_api_key")
    assert (event["error"]["type"], event["error"]["code"]) == ("invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize("field", ["call_id", "intent"])
async def test_what_is_no_conversation_is_refused(client: Client, field: str) -> None:
    """Handshakes for calls and transcriptions are refused."""
    async with client.ws_connect(REALTIME, params={"model": "Ada", field: "transcription"}) as ws:
        (event,), code, _ = await events(ws)
    assert (code, event["error"]["code"], event["error"]["param"]) == (4004, "invalid_value", field)


# When session.created comes


async def first(ws: ClientWebSocketResponse) -> Any:
    """The first event."""
    return await ws.receive_json(timeout=60)


@pytest.mark.parametrize(
    ("options", "is_beta"),
    [
        ({"params": {"model": "Ada"}}, False),
        ({"headers": {"Authorization": "Bearer x"}}, False),
        ({"protocols": ("realtime", "openai-insecure-api-key.x")}, False),
        ({"params": {"dialect": "ga"}}, False),
        ({"headers": {"OpenAI-Beta": "realtime=v1"}}, True),
        ({"protocols": ("realtime", "openai-beta.realtime-v1")}, True),
        ({"params": {"model": "Ada", "dialect": "beta"}}, True),
    ],
)
async def test_a_client_of_openai_is_greeted_at_once(client: Client, options: dict[str, Any], is_beta: bool) -> None:
    """With a known dialect session.created is sent at once."""
    async with client.ws_connect(HOLDING, **options) as ws:
        event = await first(ws)
    assert (event["type"], "modalities" in event["session"]) == ("session.created", is_beta)


@pytest.mark.parametrize(
    ("event", "is_beta", "answers"),
    [
        ({"type": "session.update", "session": {"type": "realtime"}}, False, ["session.updated"]),
        ({"type": "session.update", "session": {"instructions": "x"}}, False, ["session.updated"]),
        ({"type": "session.update", "session": {"modalities": ["text"]}}, True, ["session.updated"]),
        ({"type": "session.update", "session": {"input_audio_format": "pcm16"}}, True, ["session.updated"]),
        ({"type": "session.update", "session": 5}, False, ["error"]),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, True, []),
        ({"type": "response.cancel"}, False, ["error"]),
        ({"type": "nope"}, False, ["error"]),
    ],
)
async def test_the_first_event_decides_the_dialect(
    client: Client, event: dict[str, Any], is_beta: bool, answers: list[str]
) -> None:
    """A client with an unknown dialect is greeted in that of its first event, which is then processed."""
    async with client.ws_connect(HOLDING) as ws:
        await ws.send_json(event)
        created = await first(ws)
        await ws.send_json({"type": "input_audio_buffer.clear"})
        received = [(await first(ws))["type"] for _ in range(len(answers) + 1)]
    assert (created["type"], "modalities" in created["session"]) == ("session.created", is_beta)
    assert received == [*answers, "input_audio_buffer.cleared"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"allow_recording": False, "voice": None, "instructions": None}},
        {"type": "session.update", "session": {"instructions": {"type": "smalltalk"}}},
        {"type": "input_audio_buffer.append", "audio": "T2dnUwAC"},
        {"type": "session.characters.list"},
    ],
)
async def test_a_client_of_unmute_is_not_greeted(client: Client, event: dict[str, Any]) -> None:
    """unmute's clients know no session.created, and break on it."""
    async with client.ws_connect(HOLDING) as ws:
        await ws.send_json(event)
        await reload(client)
        received, code, _ = await events(ws)
    assert "session.created" not in {event["type"] for event in received}
    assert code == 1012


@pytest.mark.parametrize(("text", "code"), [("hello", "invalid_json"), (b"hello", "invalid_event")])
async def test_nonsense_at_first_is_answered_as_ga(client: Client, text: str | bytes, code: str) -> None:
    """After an invalid first event a client is greeted in GA, and the event is refused."""
    async with client.ws_connect(HOLDING) as ws:
        await (ws.send_bytes(text) if isinstance(text, bytes) else ws.send_str(text))
        assert (await first(ws))["session"]["type"] == "realtime"
        assert (await first(ws))["error"]["code"] == code


async def test_a_silent_client_is_greeted_later(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing receives session.created after a while, once."""
    monkeypatch.setattr("charhost.web.realtime.dispatcher.DIALECT_DEADLINE", 0.05)
    async with client.ws_connect(HOLDING) as ws:
        assert (await first(ws))["session"]["type"] == "realtime"
        assert (await update(ws, modalities=["text"]))["session"]["type"] == "realtime"


async def test_a_pause_of_the_server_is_no_silence_of_the_client(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client sent while the event loop stood still is read before the client is taken for a silent one."""
    monkeypatch.setattr("charhost.web.realtime.dispatcher.DIALECT_DEADLINE", 1.0)
    async with client.ws_connect(HOLDING) as ws:
        await until(lambda: len(client.app[SESSIONS]) == 1)
        time.sleep(1.5)
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        assert (await first(ws))["type"] == "session.updated"


async def test_a_client_that_was_greeted_is_not_greeted_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to wait does not run on beside a dialect that is known."""
    monkeypatch.setattr("charhost.web.realtime.dispatcher.DIALECT_DEADLINE", 0.05)
    async with client.ws_connect(HOLDING) as held, client.ws_connect(REALTIME) as known:
        await held.send_json({"type": "session.update", "session": {"modalities": ["text"]}})
        await first(known)
        await asyncio.sleep(0.1)
        await held.send_json({"type": "input_audio_buffer.clear"})
        await known.send_json({"type": "input_audio_buffer.clear"})
        assert (await first(known))["type"] == "input_audio_buffer.cleared"
        kinds = [(await first(held))["type"] for _ in range(3)]
    assert kinds == ["session.created", "session.updated", "input_audio_buffer.cleared"]


async def test_a_client_that_left_is_not_greeted(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to wait ends with the connection."""
    greeted: list[OpenAIHandler] = []
    monkeypatch.setattr("charhost.web.realtime.dispatcher.DIALECT_DEADLINE", 0.05)
    monkeypatch.setattr(OpenAIHandler, "open", lambda door: greeted.append(door))
    async with client.ws_connect(HOLDING):
        pass
    await until(lambda: closed(client, "client") == 1)
    await asyncio.sleep(0.1)
    assert greeted == []


async def test_a_reload_finds_a_client_that_was_not_greeted(client: Client) -> None:
    """A client that has sent nothing yet receives the close message of a reload, and nothing else."""
    async with client.ws_connect(HOLDING) as ws:
        await until(lambda: len(client.app[SESSIONS]) == 1)
        await reload(client)
        (event,), code, _ = await events(ws)
    assert (event["error"]["code"], code) == ("characters_reloaded", 1012)


# Which character


@pytest.mark.of_default_set
async def test_session_created_comes_first(client: Client) -> None:
    """A client is greeted at once with its session."""
    async with client.ws_connect(REALTIME) as ws:
        event = await ws.receive_json()
    assert (event["type"], event["session"]["model"], event["session"]["type"]) == (
        "session.created",
        "Ada",
        "realtime",
    )
    assert event["session"]["id"].startswith("sess_")
    assert event["event_id"]


@pytest.mark.of_default_set
async def test_the_first_good_one_is_the_default(client: Client, write: Write) -> None:
    """Without a name a session has the first good character."""
    write("aaron.py", character("Aaron").replace("True", "False"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        assert (await ws.receive_json())["session"]["model"] == "Ada"


@pytest.mark.parametrize(("name", "expected"), [("Bob", "Bob"), ("Nobody", "Ada")])
async def test_the_operator_may_choose_the_default(start: StartClient, write: Write, name: str, expected: str) -> None:
    """With `--character` that one is the default, if it is there."""
    write("bob.py", character("Bob"))
    async with (await start(character=name)).ws_connect(REALTIME) as ws:
        assert (await ws.receive_json())["session"]["model"] == expected


@pytest.mark.of_default_set
@pytest.mark.parametrize("query", ["model=Aim%C3%A9e+B%2Fx", "model=Aime%CC%81e%20B%2Fx", "model=+Aim%C3%A9e+B/x+"])
async def test_model_chooses_the_character(client: Client, write: Write, query: str) -> None:
    """`?model=` names the character, however its letters are encoded."""
    write("other.py", character("Aimée B/x"))
    await reload(client)
    async with client.session.ws_connect(f"{client.make_url('/')}v1/realtime?{query}") as ws:
        assert (await ws.receive_json())["session"]["model"] == "Aimée B/x"


@pytest.mark.parametrize("name", ["Nobody", "ada"])
async def test_an_unknown_model_is_refused(client: Client, name: str) -> None:
    """An unknown `?model=` gets an error and close 4004, and no session before."""
    async with client.ws_connect(REALTIME, params={"model": name}) as ws:
        (event,), code, reason = await events(ws)
    assert (code, reason) == (4004, "invalid_request_error.model_not_found")
    assert (event["error"]["code"], event["error"]["param"]) == ("model_not_found", "model")
    assert event["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("params", [{}, {"model": "Ada"}])
async def test_an_empty_set_is_refused(start: StartClient, tmp_path: Path, params: dict[str, str]) -> None:
    """Without a character a session is refused with the reason."""
    client = await start(directory=tmp_path / "nowhere")
    async with client.ws_connect(REALTIME, params=params) as ws:
        (event,), code, _ = await events(ws)
    assert (code, event["error"]["code"]) == (4004, "model_not_found" if params else "missing_model")


async def test_a_refused_client_is_no_session(client: Client) -> None:
    """A refused client is not counted as a session."""
    async with client.ws_connect(REALTIME, params={"model": "Nobody"}) as ws:
        await events(ws)
    assert (len(client.app[SESSIONS]), closed(client, "client")) == (0, None)


@pytest.mark.of_default_set
async def test_the_first_update_may_choose_the_character(client: Client, write: Write) -> None:
    """Without `?model=` the model of the first session.update is talked to."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        assert (await ws.receive_json())["session"]["model"] == "Ada"
        updated = await update(ws, model="Bob")
    assert (updated["type"], updated["session"]["model"]) == ("session.updated", "Bob")


@pytest.mark.of_default_set
async def test_only_the_first_update_may_choose(client: Client, write: Write) -> None:
    """Later updates leave the character as it is, also when the first one did not choose."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        await update(ws)
        assert (await update(ws, model="Bob"))["session"]["model"] == "Ada"


@pytest.mark.of_default_set
async def test_an_update_never_chooses_over_the_query(client: Client, write: Write) -> None:
    """With `?model=` the model of a session.update does not count: SDKs send one unasked."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME, params={"model": "Ada"}) as ws:
        await ws.receive_json()
        assert (await update(ws, model="Bob"))["session"]["model"] == "Ada"


@pytest.mark.of_default_set
async def test_the_choice_ends_with_the_first_response(client: Client, write: Write) -> None:
    """After the first response a session does not change its character."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        await ws.send_json({"type": "response.create"})
        while (await ws.receive_json(timeout=60))["type"] != "response.done":
            pass
        assert (await update(ws, model="Bob"))["session"]["model"] == "Ada"


@pytest.mark.of_default_set
async def test_the_voice_of_a_session_is_its_character(client: Client, write: Write) -> None:
    """Until a client sets a voice, the voice is the character's name."""
    write("bob.py", character("Bob"))
    await reload(client)
    async with client.ws_connect(REALTIME) as ws:
        assert (await ws.receive_json())["session"]["audio"]["output"]["voice"] == "Ada"
        assert (await update(ws, model="Bob"))["session"]["audio"]["output"]["voice"] == "Bob"


@pytest.mark.of_default_set
async def test_an_unknown_model_in_an_update_is_ignored(client: Client) -> None:
    """An unknown model in an update, as SDKs send it, is no error."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        assert (await update(ws, model="gpt-realtime"))["session"]["model"] == "Ada"


async def test_an_update_answers_with_the_whole_session(client: Client) -> None:
    """Each update is acknowledged with the whole session, and missing fields are unchanged."""
    async with client.ws_connect(REALTIME) as ws:
        created = (await ws.receive_json())["session"]
        assert (await update(ws, instructions="Be brief."))["session"] == created | {"instructions": "Be brief."}
        assert (await update(ws, tracing="auto"))["session"]["instructions"] == "Be brief."
        assert (await update(ws, instructions="", tracing=None))["session"] == created


# What is not understood


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ("hello", "invalid_json", None),
        ([], "invalid_json", None),
        ({"type": "session.created", "event_id": "e1"}, "invalid_value", "type"),
        ({"type": "session.update", "event_id": "e1"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "event_id": "e1", "session": {"model": 5}}, "invalid_type", "session.model"),
        ({"type": "nope", "event_id": "\ud800"}, "invalid_value", "type"),
    ],
)
async def test_a_bad_event_is_answered_and_the_session_goes_on(
    client: Client, event: object, code: str, param: str | None
) -> None:
    """An invalid event has one error with its id, changes nothing, and the session continues."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        error = await ask(ws, event)
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
        assert (error["event_id"] is None) == (code == "invalid_json")
        assert (await update(ws))["type"] == "session.updated"


async def test_the_id_of_a_bad_event_is_echoed(client: Client) -> None:
    """Clients match an error to their event by its id."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        assert (await ask(ws, {"type": "nope", "event_id": "mine"}))["event_id"] == "mine"


async def test_instructions_may_hold_any_text(client: Client) -> None:
    """Half a surrogate pair, which JSON may carry, does not end the session."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        assert (await update(ws, instructions="\ud83d"))["type"] == "session.updated"


async def test_a_binary_frame_is_answered_with_an_error(client: Client) -> None:
    """Only text frames are events."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        await ws.send_bytes(b'{"type": "session.update", "session": {}}')
        assert (await ws.receive_json(timeout=60))["error"]["code"] == "invalid_event"
        assert (await update(ws))["type"] == "session.updated"


async def test_a_message_has_its_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message over the limit ends the session with 1009."""
    monkeypatch.setattr("charhost.web.realtime.handler.MOST_MESSAGE_BYTES", 1000)
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        await ws.send_str("x" * 2000)
        assert (await events(ws))[1] == 1009
    await until(lambda: closed(client, "error") == 1)


async def test_a_long_message_is_read(client: Client) -> None:
    """Messages are not cut at aiohttp's usual 4 MiB: one may carry 15 MiB of audio."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        await ws.send_str(json.dumps({"type": "session.update", "session": {"x": "x" * (20 << 20)}}))
        assert (await ws.receive_json(timeout=60))["type"] == "session.updated"


# Reloads


async def test_a_reload_sends_its_reason_and_closes_with_1012(client: Client, directory: Path) -> None:
    """A reload closes with 1012 after an event with the reason and the delay before reconnecting (promise 29)."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        await reload(client)
        (event,), code, reason = await events(ws)
    assert (event["type"], code, reason) == ("error", 1012, f"Characters reloaded from {directory}")
    assert event["error"] == {
        "type": "fatal",
        "code": "characters_reloaded",
        "message": f"Characters reloaded from {directory}. Please reconnect.",
        "param": None,
        "event_id": None,
        "retry_after_ms": 0,
    }
    await until(lambda: closed(client, "reload") == 1)


async def test_the_answer_counts_the_sessions(client: Client) -> None:
    """The report has the number of sessions, and of those affected."""
    async with client.ws_connect(REALTIME) as one, client.ws_connect(REALTIME) as two:
        await one.receive()
        await two.receive()
        assert (await reload(client, sessions="keep"))["sessions"] == {"policy": "keep", "total": 2, "affected": 0}
        assert (await reload(client))["sessions"] == {"policy": "close", "total": 2, "affected": 2}


async def test_the_return_of_many_clients_is_spread(client: Client) -> None:
    """Each of eighty clients gets its own time to come back, within four tenths of a second (promise 29)."""
    sockets = [await client.ws_connect(REALTIME) for _ in range(80)]
    for ws in sockets:
        await ws.receive_json()
    await reload(client)
    waits = [(await events(ws))[0][-1]["error"]["retry_after_ms"] for ws in sockets]
    assert all(isinstance(wait, int) and 0 <= wait <= 395 for wait in waits)
    assert len(set(waits)) > 20
    assert max(waits) > 200


@pytest.mark.parametrize("shift", ["", "x", "xx"])
async def test_a_long_path_does_not_change_the_close_code(client: Client, tmp_path: Path, shift: str) -> None:
    """The reason is cut to 123 bytes between two letters, so that the close frame stays valid (promise 29)."""
    other = tmp_path / f"{shift}{'é' * 100}" / ("語" * 60)
    other.mkdir(parents=True)
    (other / "bob.py").write_text(character("Bob"))
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        await reload(client, directory=str(other))
        (event,), code, reason = await events(ws)
    assert (code, event["error"]["message"]) == (1012, f"Characters reloaded from {other}. Please reconnect.")
    assert f"Characters reloaded from {other}".startswith(reason)
    assert 120 <= len(reason.encode()) <= 123


@pytest.mark.parametrize("name", [b"caf\xe9", "développeuse".encode()])
async def test_any_path_can_be_reported(start: StartClient, tmp_path: Path, name: bytes) -> None:
    """A directory whose name is not UTF-8 is reloaded, and named in the close message (promise 29)."""
    directory = tmp_path / os.fsdecode(name)
    directory.mkdir()
    (directory / "ada.py").write_text(character("Ada"))
    client = await start(directory=directory)
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json(timeout=60)
        assert (await reload(client, directory="default"))["outcome"] == "applied"
        assert (await events(ws))[1] == 1012


@pytest.mark.parametrize(
    "fields",
    [{"on_error": "abort"}, {"dry_run": True}, {"directory": "/nowhere"}, {"directory": "x"}, {"colour": 1}],
)
async def test_a_failed_reload_sends_no_frame(client: Client, write: Write, fields: dict[str, object]) -> None:
    """Neither a refused reload nor a dry run sends anything to a client (promise 9)."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        write("bob.py", "def broken(:")
        await client.post(RELOAD, json=fields)
        assert (await update(ws))["type"] == "session.updated"
        assert len(client.app[SESSIONS]) == 1


async def test_kept_sessions_go_on(client: Client, write: Write) -> None:
    """With `sessions: keep` no session receives an event, and each keeps its version (promise 19)."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        write("ada.py", character("Ada II"))
        await reload(client, sessions="keep")
        assert (await update(ws))["session"]["model"] == full(client, "Ada")


async def test_the_policy_of_the_server_is_the_default(start: StartClient) -> None:
    """Without `sessions` in the request the policy of the settings is used."""
    client = await start(sessions="keep")
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        assert (await reload(client))["sessions"]["policy"] == "keep"
        assert (await update(ws))["type"] == "session.updated"


async def test_frames_on_their_way_come_before_the_close_message(client: Client) -> None:
    """The close message is sent after all queued frames."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        for number in range(50):
            await ws.send_json({"type": "nope", "event_id": str(number)})
        first = await ws.receive_json()
        await reload(client)
        received, code, _ = await events(ws)
    ids = [event["error"]["event_id"] for event in (first, *received[:-1])]
    assert ids == [str(number) for number in range(len(ids))]
    assert (received[-1]["error"]["code"], code) == ("characters_reloaded", 1012)


async def test_a_session_is_of_one_generation_or_notified(client: Client, write: Write) -> None:
    """Sessions that are opened during reloads are on the set that serves, or get the close message (promise 8)."""

    async def talk() -> tuple[str, int | None]:
        async with client.ws_connect(REALTIME) as ws:
            name = (await ws.receive_json(timeout=60))["session"]["model"]
            await finished.wait()
            with suppress(ConnectionError):  # it was notified and closed
                await ws.send_json({"type": "session.update", "session": {}})
            answer = await ws.receive_json(timeout=60)
            return name, None if answer["type"] == "session.updated" else (await events(ws))[1]

    finished = asyncio.Event()
    talks = []
    for turn in range(20):
        talks += [asyncio.create_task(talk()) for _ in range(4)]
        write("ada.py", character(f"Ada {turn}"))
        await reload(client)
    finished.set()
    outcomes = await asyncio.gather(*talks)
    assert len({name for name, _ in outcomes}) > 5
    assert all(code == (None if name == "Ada 19" else 1012) for name, code in outcomes)


@pytest.mark.parametrize("moment", ["at the end of the handshake", "right after it"])
async def test_a_swap_during_the_handshake_is_not_missed(
    client: Client, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A session that is opened during a swap has the new set or is notified (promise 8)."""
    manager, sessions, prepare = client.app[SETS].default.manager, client.app[SESSIONS], web.WebSocketResponse.prepare

    def swap() -> None:
        before = manager.current
        manager._current = CharacterSet(before.directory, 2, dict(before))
        sessions.follow(Swap(before, manager.current, "close", set=manager.name))

    async def prepare_and_swap(ws: web.WebSocketResponse, request: web.Request) -> object:
        writer = await prepare(ws, request)
        swap() if moment == "at the end of the handshake" else asyncio.get_running_loop().call_soon(swap)
        return writer

    monkeypatch.setattr(web.WebSocketResponse, "prepare", prepare_and_swap)
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        if generations(client) != [GenerationCount(generation=2, sessions=1)]:
            assert (await events(ws))[1] == 1012


async def test_a_client_that_does_not_read_delays_no_other(start: StartClient) -> None:
    """A client that does not read delays neither the report nor other clients' close, and is disconnected (promise
    14)."""
    client = await start(close_grace=0.2)
    async with stuck_client(client) as stuck, client.ws_connect(REALTIME) as other:
        await other.receive_json()
        await fill_pipes(client, stuck)
        async with asyncio.timeout(60):
            report = await reload(client)
            assert (await events(other))[1] == 1012
        assert report["sessions"]["affected"] == 2
        await until(lambda: len(client.app[SESSIONS]) == 0)
    assert closed(client, "reload") == 2


async def test_a_silent_client_delays_no_other(start: StartClient) -> None:
    """A client that does not return the close frame delays no other (promise 14)."""
    client = await start(close_grace=600)
    sockets = [await client.ws_connect(REALTIME, autoclose=False) for _ in range(20)]
    async with asyncio.timeout(60):
        assert (await reload(client))["sessions"]["affected"] == 20
        await until(lambda: len(client.app[SESSIONS]) == 0)
    for ws in sockets:
        await ws.close()


async def test_a_client_that_does_not_read_is_not_read(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends and does not read is heard no more once responses wait, and then cut without an error."""
    monkeypatch.setattr(readers, "STALLED_READER_LIMIT", 1)
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.1)
    async with stuck_client(client) as stuck:
        with pytest.raises(websockets.ConnectionClosed):
            await flood(stuck)
        await until(lambda: len(client.app[SESSIONS]) == 0)
    assert closed(client, "stalled") == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# Ends


async def test_a_client_that_leaves_is_forgotten(client: Client) -> None:
    """When the client closes the session is over, and counted as ended by it."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        assert len(client.app[SESSIONS]) == 1
    await until(lambda: closed(client, "client") == 1)
    assert len(client.app[SESSIONS]) == 0


async def test_a_client_that_vanishes_is_forgotten(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that breaks ends its session without an error in the log."""
    ws = await client.ws_connect(REALTIME)
    await ws.receive_json()
    ws._writer.transport.abort()
    await until(lambda: len(client.app[SESSIONS]) == 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    await ws.close()


async def test_shutdown_closes_with_1001(client: Client) -> None:
    """A shutdown closes its clients with 1001."""
    async with client.ws_connect(REALTIME) as ws:
        await ws.receive_json()
        closing = asyncio.create_task(client.server.close())
        assert await events(ws) == ([], 1001, "Server is shutting down")
        await asyncio.wait_for(closing, 60)
    assert closed(client, "shutdown") == 1


async def test_a_stuck_client_does_not_hold_up_the_shutdown(start: StartClient) -> None:
    """At shutdown too, a client that does not read is cut off after its grace."""
    client = await start(close_grace=0.2)
    async with stuck_client(client) as stuck:
        await fill_pipes(client, stuck)
        await asyncio.wait_for(client.server.close(), 60)
    assert closed(client, "shutdown") == 1


async def test_a_handshake_during_shutdown_is_turned_away(client: Client) -> None:
    """A client that connects during the shutdown is closed as well."""
    client.app[SESSIONS].closing = True
    async with client.ws_connect(REALTIME) as ws:
        assert (await events(ws))[1] == 1001


async def test_a_handshake_after_shutdown_finds_no_server(client: Client) -> None:
    """After the shutdown no connection is accepted."""
    url = client.make_url(REALTIME)
    await client.server.close()
    with pytest.raises((OSError, WSServerHandshakeError)):
        await client.session.ws_connect(url)


# Memory


@pytest.mark.parametrize("dialect", ["ga", "beta", "unmute"])
async def test_a_session_is_freed_when_its_client_leaves(client: Client, dialect: str) -> None:
    """A session forms no reference cycle: it is gone without the cyclic collector (promise 25)."""
    gc.disable()
    try:
        async with client.ws_connect(HOLDING, params={"dialect": dialect}) as ws:
            await ws.send_json({"type": "session.update", "session": {"voice": "Ada", "allow_recording": False}})
            while (await first(ws))["type"] != "session.updated":
                pass
            (session,) = (weakref.ref(session) for session in client.app[SESSIONS]._live.values())
        await until(lambda: session() is None)
    finally:
        gc.enable()
