"""A server that is started with the state of an earlier one."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestServer

from charhost.errors import UnknownGeneration
from charhost.reload.attempt import FromHistory
from charhost.reload.manager import CharacterManager
from charhost.resume.archive import ArchiveWriter
from charhost.settings import Settings
from charhost.storage.conversation_table import ConversationTable
from charhost.web.keys import CONVERSATIONS, SESSION_WRITER, SESSIONS, SETS
from charhost.web.realtime import unmute
from tests.conftest import Client, character, prompt
from tests.reload.helpers import Write
from tests.resume.helpers import NOT_FOUND, refusal, resuming, session_id
from tests.web.named_set import app_of, narrowed, set_name
from tests.web.realtime.openai_client import LIMIT, REALTIME, Caller, Script, calling
from tests.web.realtime.server import events, reload, until
from tests.web.sessions.conversations import value

__all__ = ["set_name"]

ROLLBACK = "/v1/characters/rollback"

Serving = Callable[..., Any]


@pytest.fixture
def serving(set_name: str, directory: Path, tmp_path: Path) -> Serving:
    """Serves the directory with a state file, until the end of a block; each time it is another server."""

    @asynccontextmanager
    async def serving(**values: Any) -> AsyncIterator[Client]:
        settings = Settings(**{"directory": directory, "state": tmp_path / "state.db", **values})
        async with Client(TestServer(app_of(set_name, settings, tmp_path))) as client:
            client.app[CONVERSATIONS].models = Script()
            yield narrowed(client)

    return serving


async def all_saved(client: Client) -> None:
    """Wait until the changes so far are saved: a state file saves those of all sessions at once."""
    await client.app[SESSION_WRITER].settled("any")


def conversations(client: Client) -> ConversationTable:
    """Return the table of conversations in the state file of the server."""
    writer = client.app[SESSION_WRITER]
    assert isinstance(writer, ArchiveWriter)
    assert isinstance(writer._archive, ConversationTable)
    return writer._archive


def manager(client: Client) -> CharacterManager:
    """Return the manager of a server."""
    return client.app[SETS].default.manager


async def history(client: Client) -> list[tuple[str, str, int]]:
    """Return the trigger, outcome and generation of each attempt, the newest first."""
    answer = await (await client.get("/v1/characters/reloads")).json()
    return [(report["trigger"], report["outcome"], report["generation"]) for report in answer["reloads"]]


# History and rollback


async def test_the_history_goes_on(serving: Serving, write: Write) -> None:
    """Attempts of the earlier server are in the history, and found by their id (promise 31)."""
    async with serving() as client:
        write("ada.py", character("Ada", "Be brief."))
        report = await reload(client)
    async with serving() as client:
        assert await history(client) == [("startup", "applied", 2), ("http", "applied", 2), ("startup", "applied", 1)]
        assert await (await client.get(f"/v1/characters/reloads/{report['reload_id']}")).json() == report


async def test_a_set_that_is_the_same_keeps_its_generation(serving: Serving) -> None:
    """An unchanged set keeps its generation and ETag, so repeated restarts drop nothing from the history."""
    etags = []
    for _ in range(3):
        async with serving() as client:
            etags.append((await client.get("/v1/characters")).headers["ETag"])
            assert {one.generation for one in manager(client).current.values()} == {1}
            assert await manager(client).store.generations() == (1,)
    assert len(set(etags)) == 1


async def test_a_set_that_was_edited_meanwhile_is_a_new_generation(serving: Serving, write: Write) -> None:
    """An edit between two servers is a new generation, and the earlier set can be restored."""
    async with serving():
        pass
    write("ada.py", character("Ada", "Be brief."))
    async with serving() as client:
        assert (prompt(manager(client)), manager(client).current.generation) == ("Be brief.", 2)
        assert (await client.post(ROLLBACK, json={})).status == 200
        assert (prompt(manager(client)), manager(client).current.generation) == ("Be kind.", 3)


async def test_an_edit_that_no_fingerprint_knows_of_is_a_new_generation(serving: Serving, write: Write) -> None:
    """An edit of a helper that no fingerprint covers is a new generation, since the bytes differ."""
    write("_notes.py", "one")
    async with serving():
        pass
    write("_notes.py", "two")
    async with serving() as client:
        assert manager(client).current.generation == 2


async def test_a_rollback_needs_neither_the_directory_nor_the_server_that_served_it(
    serving: Serving, directory: Path, write: Write, tmp_path: Path
) -> None:
    """Each character's own bytes and helpers are in the file (promise 32)."""
    write("resources/tag.py", "TAG = 'of a helper'")
    write("ada.py", f"from characters.resources.tag import TAG\n{character('Ada')}".replace('"Be kind."', "TAG"))
    async with serving() as client:
        write("ada.py", character("Ada", "Be brief."))
        await reload(client)
    shutil.rmtree(directory)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    async with serving(directory=tmp_path / "other") as client:
        answer = await client.post(ROLLBACK, json={"generation": 1})
        assert (answer.status, prompt(manager(client))) == (200, "of a helper")
        assert (await answer.json())["generation"] == 4


async def test_a_stored_set_is_bound_to_the_roots_of_now(serving: Serving, directory: Path, tmp_path: Path) -> None:
    """A stored set of a directory that is not allowed any more is not executed."""
    async with serving():
        pass
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "bob.py").write_text(character("Bob"))
    shutil.rmtree(directory)
    options = {"directory": tmp_path / "allowed", "allowed_roots": str(tmp_path / "allowed"), "resume_set": True}
    async with serving(**options) as client:
        assert list(manager(client).current) == ["Bob"]
        answer = await client.post(ROLLBACK, json={"generation": 1})
        assert (answer.status, (await answer.json())["code"]) == (403, "directory_not_allowed")


async def test_a_generation_that_no_file_can_number_is_unknown(serving: Serving) -> None:
    """A generation beyond SQLite's integers is unknown, and no failed reload."""
    async with serving() as client:
        answer = await client.post(ROLLBACK, json={"generation": 2**63})
        assert (answer.status, (await answer.json())["code"]) == (409, "unknown_generation")
        assert await history(client) == [("startup", "applied", 1)]


async def test_nothing_is_kept_without_a_file(serving: Serving, tmp_path: Path) -> None:
    """Without --state a server starts empty, and makes no file."""
    for _ in range(2):
        async with serving(state=None) as client:
            assert await history(client) == [("startup", "applied", 1)]
            with pytest.raises(UnknownGeneration):
                await manager(client).reload_characters(source=FromHistory(), trigger="rollback")
    assert not (tmp_path / "state.db").exists()


async def test_a_shutdown_that_cannot_wait_for_the_file_still_answers(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a shutdown the caller of an applied reload gets its report, although the file is not written yet."""
    async with serving() as client:
        begun = asyncio.Event()

        async def never(*_: object) -> None:
            begun.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(manager(client).store, "record", never)
        asked = asyncio.create_task(manager(client).reload_characters())
        await begun.wait()
        await manager(client).close(0.01)
        assert (await asked).outcome == "applied"


# --resume-set


async def test_the_set_that_served_last_is_served_when_its_directory_is_gone(
    serving: Serving, directory: Path, tmp_path: Path
) -> None:
    """From the stored bytes, as the generation it was, wherever it came from."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    async with serving() as client:
        await reload(client, directory=str(tmp_path / "other"))
    shutil.rmtree(tmp_path / "other")
    shutil.rmtree(directory)
    async with serving(resume_set=True) as client:
        report = manager(client).last_reload
        assert (list(manager(client).current), manager(client).current.generation) == (["Bob"], 2)
        assert report is not None
        assert report.message == f"Successfully resumed generation 2: 1 character from {tmp_path / 'other'}"
    async with serving() as client:
        assert list(manager(client).current) == []


async def test_an_edit_that_was_made_meanwhile_is_served(serving: Serving, write: Write) -> None:
    """A directory that changed between two servers is read instead of the stored set."""
    async with serving():
        pass
    write("ada.py", character("Ada", "Be brief."))
    async with serving(resume_set=True) as client:
        assert (prompt(manager(client)), manager(client).current.generation) == ("Be brief.", 2)


async def test_an_edit_that_loads_nothing_costs_nothing(serving: Serving, write: Write) -> None:
    """If the edited directory cannot be loaded, the stored set serves."""
    async with serving():
        pass
    write("ada.py", "def broken(:")
    async with serving(resume_set=True) as client:
        assert (prompt(manager(client)), manager(client).current.generation) == ("Be kind.", 1)


async def test_a_rollback_outlives_the_server(serving: Serving, write: Write) -> None:
    """The disk, which has not changed since, does not undo it, nor does the watcher (promise 32)."""
    async with serving() as client:
        write("ada.py", character("Ada", "Be rude."))
        await reload(client)
        await client.post(ROLLBACK, json={})
    async with serving(resume_set=True, watch=True) as client:
        assert (prompt(manager(client)), manager(client).current.generation) == ("Be kind.", 3)
        status = await (await client.get("/v1/characters/status")).json()
        assert status["watcher"]["held"] is True
        await client.post("/v1/characters/watch/resume")
        await until(lambda: prompt(manager(client)) == "Be rude.")


async def test_what_kept_its_last_good_version_keeps_it(serving: Serving, write: Write) -> None:
    """A broken file keeps its last good version through a restart."""
    write("bob.py", character("Bob"))
    async with serving() as client:
        write("ada.py", "def broken(:")
        write("bob.py", character("Bob", "Be brief."))
        await reload(client, on_error="keep", scope="changed")
    async with serving(resume_set=True) as client:
        prompts = [prompt(manager(client), name) for name in ("Ada", "Bob")]
        assert prompts == ["Be kind.", "Be brief."]


async def test_a_stored_set_that_fails_now_gives_way_to_the_start_directory(
    serving: Serving, directory: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the stored set fails now, the directory of the start serves, and the log has the reason."""
    monkeypatch.setattr("os.only_once", None, raising=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(f"import os; os.only_once\n{character('Bob')}")
    async with serving() as client:
        await reload(client, directory=str(tmp_path / "other"))
    monkeypatch.delattr("os.only_once")
    async with serving(resume_set=True) as client:
        assert list(manager(client).current) == ["Ada"]


# Conversations


async def talk(client: Client, caller: Caller, *words: str) -> None:
    """Send a message, and wait for the end of the response."""
    for word in words:
        await caller.add(word)
        await caller.respond()


async def test_a_client_finds_its_conversation_after_a_restart(serving: Serving) -> None:
    """After a restart client and model have the whole conversation, with the same ids (promise 30)."""
    async with serving() as client, calling(client) as lost:
        await lost.update(instructions="Rhyme.")
        await talk(client, lost, "One.", "Two.")
        order = lost.grammar._order
        await client.server.close()
    async with serving() as client:
        assert value(client, "sessions_parked") == 1
        async with resuming(client, lost) as caller:
            assert caller.events[0]["session"]["instructions"] == "Rhyme."
            for item in order:
                assert (await caller.ask("conversation.item.retrieve", item_id=item))["type"].endswith("retrieved")
            await talk(client, caller, "Three.")
        models = client.app[CONVERSATIONS].models
        assert [message["content"] for message in models.messages if message["role"] == "user"] == [
            "One.",
            "Two.",
            "Three.",
        ]


async def test_a_conversation_outlives_many_restarts(serving: Serving) -> None:
    """A conversation continues through several restarts."""
    lost: Caller | None = None
    for number in range(4):
        async with serving() as client:
            async with resuming(client, lost) if lost else calling(client) as caller:
                await talk(client, caller, f"{number}.")
                await client.server.close()
            script, lost = client.app[CONVERSATIONS].models, caller
    assert [message["content"] for message in script.messages if message["role"] == "user"] == ["0.", "1.", "2.", "3."]


async def test_a_session_with_a_normal_close_is_forgotten(serving: Serving) -> None:
    """A conversation that its client ended is not in the file."""
    async with serving() as client:
        async with calling(client) as caller:
            await talk(client, caller, "One.")
        await until(lambda: not len(client.app[SESSIONS]))
    async with serving() as client:
        assert value(client, "sessions_parked") == 0
        assert await refusal(client, session_id(caller)) == NOT_FOUND


async def test_an_unclaimed_session_is_forgotten(serving: Serving) -> None:
    """After --resume-ttl, which begins with the server, it is dropped."""
    async with serving() as client, calling(client) as lost:
        await talk(client, lost, "One.")
        await client.server.close()
    async with serving(resume_ttl=0.05) as client:
        await until(lambda: value(client, "sessions_parked") == 0)
        assert await refusal(client, session_id(lost)) == NOT_FOUND
    async with serving() as client:
        assert value(client, "sessions_parked") == 0


async def test_an_id_opens_nothing_without_its_key(serving: Serving) -> None:
    """A stored session is resumed only with its key, whose digest is in the file."""
    key, other = ({"Authorization": f"Bearer {name}"} for name in ("mine", "yours"))
    async with serving(api_key="mine,yours") as client, client.ws_connect(REALTIME, headers=key) as ws:
        found = (await ws.receive_json(timeout=LIMIT))["session"]["id"]
        await ws.send_json({"type": "session.update", "session": {"type": "realtime"}})
        await ws.receive_json(timeout=LIMIT)
        await client.server.close()
    async with serving(api_key="mine,yours") as client:
        assert await refusal(client, found, headers=other) == NOT_FOUND
        async with client.ws_connect(REALTIME, params={"resume": found}, headers=key) as ws:
            assert (await ws.receive_json(timeout=LIMIT))["type"] == "session.created"


async def test_a_character_that_is_gone_is_not_replaced(serving: Serving, directory: Path, write: Write) -> None:
    """A conversation continues with its own character or not at all (promise 30)."""
    async with serving() as client, calling(client) as lost:
        await talk(client, lost, "One.")
        await client.server.close()
    (directory / "ada.py").unlink()
    write("bob.py", character("Bob"))
    async with serving() as client:
        assert (await refusal(client, session_id(lost)))[0] == "character_removed"


async def test_a_client_of_unmute_is_not_greeted_twice(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings and the greeting of an Unmute client are kept through a restart."""
    monkeypatch.setattr(unmute, "GREETING_DELAY", 0)
    async with serving() as client, client.ws_connect(REALTIME, params={"dialect": "unmute"}) as ws:
        await ws.send_json({"type": "session.update", "session": {"voice": "x", "allow_recording": False}})
        await event_of(ws, "unmute.additional_outputs")
        (session,) = client.app[SESSIONS]._live.values()
        await client.server.close()
    async with serving() as client, client.ws_connect(REALTIME, params={"resume": session.id}) as ws:
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await event_of(ws, "session.updated")
        await reload(client)
        assert [event["type"] for event in (await events(ws))[0]] == ["error"]


async def event_of(ws: ClientWebSocketResponse, kind: str) -> Any:
    """The next event of that type."""
    while (event := await ws.receive_json(timeout=LIMIT))["type"] != kind:
        pass
    return event


@pytest.mark.parametrize("kind", ["conversation.item.done", "conversation.item.deleted", "session.updated"])
async def test_what_was_done_between_answers_is_kept(serving: Serving, kind: str) -> None:
    """Items and settings that change between responses are kept."""
    async with serving() as client, calling(client) as lost:
        item = (await lost.add("One."))["item"]["id"]
        if kind == "conversation.item.deleted":
            await lost.ask("conversation.item.delete", item_id=item)
        if kind == "session.updated":
            await lost.update(instructions="Rhyme.")
        await client.server.close()
    async with serving() as client, resuming(client, lost) as caller:
        answer = await caller.ask("conversation.item.retrieve", item_id=item)
        assert (answer["type"] == "error") == (kind == "conversation.item.deleted")
        instructions = caller.events[0]["session"]["instructions"]
        assert (instructions == "Rhyme.") == (kind == "session.updated")


async def test_the_end_of_a_response_is_sent_when_it_is_on_the_disk(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of a response is sent at once, and its end after the write."""
    async with serving() as client:
        archive, gate, begun = conversations(client), asyncio.Event(), asyncio.Event()
        save: Callable[..., Awaitable[None]] = archive.save

        async def slow(*arguments: object) -> None:
            begun.set()
            await gate.wait()
            await save(*arguments)

        monkeypatch.setattr(archive, "save", slow)
        async with calling(client) as caller:
            await caller.send("response.create")
            await caller.until("response.output_item.done")
            await begun.wait()
            receiving = asyncio.create_task(caller.next())
            await (await client.get("/v1/health")).read()
            assert not receiving.done()
            gate.set()
            assert (await receiving)["type"] == "response.done"


async def test_an_answer_in_unmutes_dialect_waits_for_the_disk_too(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event of an Unmute response is sent after the conversation is on the disk."""
    monkeypatch.setattr(unmute, "GREETING_DELAY", 0)
    async with serving() as client, client.ws_connect(REALTIME, params={"dialect": "unmute"}) as ws:
        await all_saved(client)
        gate = asyncio.Event()
        save: Callable[..., Awaitable[None]] = conversations(client).save

        async def slow(*arguments: object) -> None:
            await gate.wait()
            await save(*arguments)

        monkeypatch.setattr(conversations(client), "save", slow)
        await ws.send_json({"type": "session.update", "session": {"allow_recording": False}})
        await event_of(ws, "response.text.delta")
        receiving = asyncio.create_task(event_of(ws, "response.text.done"))
        await (await client.get("/v1/health")).read()
        assert not receiving.done()
        gate.set()
        assert (await receiving)["text"] == "Yes."


async def test_a_file_that_fails_costs_no_answer_and_no_reload(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """With a failing file responses and reloads work, and two metrics and the log show the loss."""
    with caplog.at_level(logging.ERROR):
        async with serving() as client:
            await conversations(client)._database.close()
            async with calling(client) as caller:
                await talk(client, caller, "One.", "Two.")
            assert (await reload(client))["outcome"] == "applied"
            assert value(client, "history_errors_total") == 1
            assert (value(client, "conversation_errors_total") or 0) >= 1
    assert "could not be kept in the history" in caplog.text
    assert "conversations could not be written down" in caplog.text


async def test_a_client_that_was_only_greeted_finds_its_session(serving: Serving) -> None:
    """A session is kept before its id is sent, so that a kill right after it does not matter."""
    async with serving() as client, calling(client) as lost:
        await all_saved(client)
        assert await conversations(client).find(session_id(lost))
        await client.server.close()
    async with serving() as client, resuming(client, lost) as caller:
        assert session_id(caller) == session_id(lost)


async def test_resume_writes_nothing(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume writes nothing; the first save is that of the next turn."""
    async with serving() as client, calling(client) as lost:
        await talk(client, lost, "One.")
        await client.server.close()
    async with serving() as client:
        archive, saves = conversations(client), 0
        save: Callable[..., Awaitable[None]] = archive.save

        async def counted(*arguments: object) -> None:
            nonlocal saves
            saves += 1
            await save(*arguments)

        monkeypatch.setattr(archive, "save", counted)
        async with resuming(client, lost) as caller:
            await all_saved(client)
            assert saves == 0
            await talk(client, caller, "Two.")
            assert saves > 0


async def test_of_two_that_come_back_for_one_session_the_second_takes_over(serving: Serving) -> None:
    """Of two concurrent resumes of a stored session the second one takes over."""
    async with serving() as client, calling(client) as lost:
        await talk(client, lost, "One.")
        await client.server.close()
    async with serving() as client:
        params = {"resume": session_id(lost)}
        first, second = await asyncio.gather(*(client.ws_connect(REALTIME, params=params) for _ in range(2)))
        ends = [asyncio.create_task(events(ws)) for ws in (first, second)]
        done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert [(end.result()[0][-1]["error"]["code"], end.result()[1]) for end in done] == [
            ("session_taken_over", 4009)
        ]
        await client.server.close()
        for end in waiting:
            assert (await end)[1] == 1001


async def test_a_file_that_hangs_costs_no_close_message(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is closed does not wait for the disk, and its client receives the reason (promise 29)."""
    async with serving() as client:
        begun = asyncio.Event()

        async def hang(*_: object) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with calling(client) as caller:
            monkeypatch.setattr(conversations(client), "save", hang)
            monkeypatch.setattr("charhost.resume.archive.SAVE_DEADLINE", LIMIT)
            await caller.send("response.create")
            await begun.wait()
            await reload(client)
            received, code, _ = await events(caller.ws)
            kinds = [event["type"] for event in received]
            assert (kinds[-2:], code) == (["response.done", "error"], 1012)
        monkeypatch.setattr("charhost.resume.archive.SAVE_DEADLINE", 0.01)


async def test_an_unreadable_history_is_reported(serving: Serving) -> None:
    """A history that cannot be read is an error of requests for it and of rollbacks; the set serves."""
    async with serving() as client:
        await conversations(client)._database.close()
        answers = [
            await client.get("/v1/characters/reloads"),
            await client.get("/v1/characters/reloads/1"),
            await client.post(ROLLBACK, json={}),
        ]
        refusals = [(answer.status, (await answer.json())["code"]) for answer in answers]
        assert refusals == [(503, "history_unavailable")] * 3
        assert list(manager(client).current) == ["Ada"]


async def test_a_set_with_changed_bytes_is_not_resumed(
    serving: Serving, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A stored set with changed bytes is not executed; the generations continue after the last one."""
    async with serving():
        pass
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("UPDATE contents SET data = data || x'0a'")
        connection.commit()
    async with serving(resume_set=True) as client:
        assert (list(manager(client).current), manager(client).current.generation) == (["Ada"], 2)
    assert "cannot read the last set from the state file" in caplog.text
