"""The characters are listed and reloaded over real sockets, in each dialect; each event is checked by its grammar."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from charhost.reload.request import ReloadRequest
from charhost.web.keys import METRICS, SESSIONS, SETS
from charhost.web.protocol.frames import MOST_EVENT
from charhost.web.realtime import character_commands as characters
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.web.named_set import client, set_name, start_app
from tests.web.outcomes import RELOAD, TABLE, Before, Row, Scene, stopping
from tests.web.realtime.event_grammar import Event, Grammar
from tests.web.realtime.openai_client import LIMIT, REALTIME
from tests.web.realtime.server import HOLDING, StartClient, start, until
from tests.web.realtime.slow_store import FOREIGN, SlowStore, generation, slowed
from tests.web.realtime.unmute_events import TABLE as UNMUTE

__all__ = ["client", "set_name", "start", "start_app"]

EVERY_DIALECT = pytest.mark.parametrize("dialect", ["ga", "beta", "unmute"])

# What differs between two attempts that came to the same.
VOLATILE = {"reload_id", "trigger", "started_at", "load_duration", "timings"}


class Wire:
    """One client in one of the dialects."""

    def __init__(self, ws: ClientWebSocketResponse, dialect: Any) -> None:
        self.ws = ws
        self._grammar = None if dialect == "unmute" else Grammar(dialect)

    async def send(self, kind: str, **fields: object) -> None:
        """Send an event."""
        await self.ws.send_json({"type": f"session.characters.{kind}", **fields})

    async def next(self) -> Event:
        """The next event."""
        event: Event = await self.ws.receive_json(timeout=LIMIT)
        self._check(event)
        return event

    async def ask(self, kind: str, **fields: object) -> Event:
        """Send an event, and return the next one."""
        await self.send(kind, **fields)
        return await self.next()

    async def refusal(self, **fields: object) -> Any:
        """Send a reload, and return its error, with the report in the same place in every dialect."""
        event = await self.ask("reload", **fields)
        assert event["type"] == "error", event
        error = event["error"]
        return error if "details" not in error else error | {"report": error["details"]}

    async def rest(self) -> tuple[list[Event], int]:
        """All that comes until the end, and the close code."""
        events = []
        while (message := await self.ws.receive(timeout=LIMIT)).type is WSMsgType.TEXT:
            events.append(message.json())
            self._check(events[-1])
        assert message.type is WSMsgType.CLOSE
        return events, message.data

    def _check(self, event: Event) -> None:
        if self._grammar is None:
            UNMUTE.validate_json(json.dumps(event))
        else:
            self._grammar.feed(event)


@asynccontextmanager
async def wired(client: Client, dialect: str = "ga", key: str | None = None, **options: Any) -> AsyncIterator[Wire]:
    """Connect a client, and wait for its greeting if its dialect has one."""
    params = {"dialect": dialect, **options.pop("params", {})}
    headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {key}"} if key else {})
    async with client.ws_connect(REALTIME, params=params, headers=headers, max_msg_size=0) as ws:
        wire = Wire(ws, dialect)
        if dialect != "unmute":
            assert (await wire.next())["type"] == "session.created"
        yield wire


@pytest.fixture
async def store(client: Client) -> SlowStore:
    """The store of the server."""
    return slowed(client)


@asynccontextmanager
async def busy(client: Client, store: SlowStore) -> AsyncIterator[None]:
    """Run a reload that ends no session during the block: other requests are queued behind it."""
    first = asyncio.create_task(client.app[SETS].default.manager.reload_characters(ReloadRequest(sessions="keep")))
    await asyncio.wait_for(store.asked.wait(), LIMIT)
    try:
        yield
    finally:
        store.go.set()
        await first


def commands(client: Client) -> int:
    """How many reloads sessions wait for."""
    return sum(session.work.commands for session in client.app[SESSIONS]._live.values())


@EVERY_DIALECT
async def test_the_characters_are_listed(client: Client, write: Write, directory: Path, dialect: str) -> None:
    """The list has the directory, the count, and whether each character is good and its comment."""
    write("bob.py", character("Bob") + "METADATA = {'good': False, 'comment': 'Says little.'}")
    write("eve.py", character("Eve") + "METADATA = {}")
    await client.app[SETS].default.manager.reload_characters()
    async with wired(client, dialect) as wire:
        answer = await wire.ask("list")
    assert (answer["type"], answer["directory"]) == ("session.characters.listed", str(directory))
    assert (answer["character_count"], answer["characters"]) == (
        3,
        [
            {"name": "Ada", "good": True, "comment": None},
            {"name": "Bob", "good": False, "comment": "Says little."},
            {"name": "Eve", "good": None, "comment": None},
        ],
    )


async def test_listing_needs_no_authority(client: Client) -> None:
    """A list needs no authority, as `GET /v1/characters` has the same."""
    async with wired(client, headers=FOREIGN) as wire:
        assert (await wire.ask("list"))["character_count"] == 1


async def test_a_list_is_of_what_serves(client: Client, write: Write) -> None:
    """After a reload that let the session go on, the list is the new one."""
    async with wired(client) as wire:
        write("bob.py", character("Bob"))
        await client.app[SETS].default.manager.reload_characters(ReloadRequest(sessions="keep"))
        assert (await wire.ask("list"))["character_count"] == 2


async def test_a_client_of_unmute_lists_first(client: Client) -> None:
    """A client whose first event is a list is an Unmute client, and receives the list without a greeting."""
    async with client.ws_connect(HOLDING) as ws:
        assert (await Wire(ws, "unmute").ask("list"))["type"] == "session.characters.listed"


@EVERY_DIALECT
async def test_the_asker_is_answered_and_then_sent_away(client: Client, write: Write, dialect: str) -> None:
    """The client of a reload receives the report, and then the close message of its own reload, with 1012."""
    write("bob.py", character("Bob"))
    async with wired(client, dialect) as wire:
        await wire.send("reload")
        (answer, farewell), code = await wire.rest()
    assert (answer["type"], answer["outcome"], answer["trigger"]) == (
        "session.characters.reloaded",
        "applied",
        "websocket",
    )
    assert [entry["name"] for entry in answer["characters"]] == ["Ada", "Bob"]
    assert (farewell["error"]["code"], code) == ("characters_reloaded", 1012)


@EVERY_DIALECT
async def test_the_asker_is_answered_first_however_slow_the_store_is(
    client: Client, store: SlowStore, dialect: str
) -> None:
    """The close message waits until the report is recorded, and those of the others do not."""
    async with wired(client, dialect) as wire, wired(client) as other:
        await wire.send("reload")
        assert [event["type"] for event in (await other.rest())[0]] == ["error"]
        store.go.set()
        events, code = await wire.rest()
    assert [event["type"] for event in events] == ["session.characters.reloaded", "error"]
    assert code == 1012


async def test_the_others_are_notified(client: Client) -> None:
    """A reload over a socket ends the other sessions as any reload does, and counts them."""
    async with wired(client) as wire, wired(client, "unmute") as other:
        assert (await wire.ask("reload"))["sessions"] == {"policy": "close", "total": 2, "affected": 2}
        (farewell,), code = await other.rest()
    assert (farewell["error"]["code"], code) == ("characters_reloaded", 1012)


async def test_a_session_that_is_kept_goes_on(client: Client) -> None:
    """With a policy that ends no session the client of the reload stays connected."""
    async with wired(client) as wire:
        assert (await wire.ask("reload", sessions="keep"))["generation"] == 2
        assert (await wire.ask("list"))["type"] == "session.characters.listed"


async def test_a_dry_run_changes_nothing(client: Client, write: Write) -> None:
    """A dry run reports its result, and the list is unchanged."""
    write("bob.py", character("Bob"))
    before = client.app[SETS].default.manager.current
    async with wired(client) as wire:
        answer = await wire.ask("reload", dry_run=True)
        assert (await wire.ask("list"))["character_count"] == 1
    assert (answer["outcome"], answer["changes"]["added"], len(answer["characters"])) == ("valid", ["Bob"], 1)
    assert client.app[SETS].default.manager.current is before


async def test_the_fields_are_those_of_a_request(client: Client, tmp_path: Path) -> None:
    """An event may have all fields of an HTTP request."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "zoe.py").write_text(character("Zoe"))
    fields: dict[str, Any] = {"scope": "changed", "on_error": "keep", "check_isolated": False, "drain_seconds": 1}
    fields |= {"reason": "a test", "event_id": "mine"}
    async with wired(client) as wire:
        answer = await wire.ask("reload", directory=str(tmp_path / "other"), sessions="close_affected", **fields)
    assert (answer["directory"], answer["scope"], answer["reason"]) == (str(tmp_path / "other"), "changed", "a test")
    assert (answer["sessions"]["policy"], [entry["name"] for entry in answer["characters"]]) == (
        "close_affected",
        ["Zoe"],
    )


async def test_a_session_is_answered_in_the_order_of_its_events(client: Client) -> None:
    """Two reloads of one session run in order, and both are reported."""
    async with wired(client) as wire:
        for reason in ("one", "two"):
            await wire.send("reload", sessions="keep", reason=reason)
        answers = [await wire.next(), await wire.next()]
    assert [(answer["reason"], answer["generation"]) for answer in answers] == [("one", 2), ("two", 3)]


async def test_two_askers_are_served_one_after_the_other(client: Client, store: SlowStore) -> None:
    """A reload that another client queued behind the first one runs and is reported, although the first one ends its
    session."""
    async with wired(client) as first, wired(client, "unmute") as second:
        async with busy(client, store):
            await first.send("reload", reason="one")
            await until(lambda: commands(client) == 1)
            await second.send("reload", reason="two")
            await until(lambda: commands(client) == 2)
        for wire, number in ((first, 3), (second, 4)):
            (answer, farewell), code = await wire.rest()
            assert (answer["generation"], farewell["error"]["code"], code) == (number, "characters_reloaded", 1012)


async def test_disconnecting_does_not_stop_the_reload(client: Client, store: SlowStore) -> None:
    """The reload of a client that has left runs, and nothing waits for the client."""
    async with busy(client, store):
        async with wired(client) as wire:
            await wire.send("reload")
            await until(lambda: commands(client) == 1)
        await until(lambda: not len(client.app[SESSIONS]))
    await generation(client, 3)
    assert client.app[SETS].default.manager.current.generation == 3


async def test_disconnecting_at_once_does_not_stop_the_reload(client: Client) -> None:
    """A reload that came in one packet with the close frame is carried out."""
    async with wired(client) as wire:
        await wire.send("reload")
    await generation(client, 2)
    assert client.app[SETS].default.manager.current.generation == 2


async def test_a_refusal_after_disconnecting_is_logged_as_one(
    client: Client, store: SlowStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal of a reload whose client has left is logged as a refusal, not as an unexpected error."""
    async with busy(client, store):
        async with wired(client) as wire:
            await wire.send("reload", directory="/no/such/directory")
            await until(lambda: commands(client) == 1)
        await until(lambda: not len(client.app[SESSIONS]))
    await until(lambda: not client.app[SETS].default.manager._queue._tasks)
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_resuming_meanwhile_does_not_wait_for_the_reload(client: Client, store: SlowStore) -> None:
    """A client that lost its connection during its reload resumes at once."""
    async with wired(client) as lost, busy(client, store):
        await lost.send("reload", sessions="keep")
        await until(lambda: commands(client) == 1)
        (session_id,) = client.app[SESSIONS]._live
        async with wired(client, params={"resume": session_id}) as wire:
            assert (await wire.ask("list"))["type"] == "session.characters.listed"
    await generation(client, 3)


async def test_a_session_may_ask_for_so_many_at_a_time(client: Client, store: SlowStore) -> None:
    """One more is refused at once; those before it are carried out."""
    async with wired(client) as wire:
        async with busy(client, store):
            for number in range(characters.MOST_RELOADS):
                await wire.send("reload", sessions="keep", reason=str(number))
            assert (await wire.refusal())["code"] == "rate_limit_exceeded"
        reasons = [(await wire.next())["reason"] for _ in range(characters.MOST_RELOADS)]
    assert reasons == [str(number) for number in range(characters.MOST_RELOADS)]


async def test_a_shutdown_answers_the_asker(start: StartClient) -> None:
    """A reload that the end of the server cuts short is refused, and then the socket is closed with 1001."""
    client = await start(shutdown_timeout=0.1)
    store = slowed(client)
    first = asyncio.create_task(client.app[SETS].default.manager.reload_characters(ReloadRequest(sessions="keep")))
    await asyncio.wait_for(store.asked.wait(), LIMIT)
    async with wired(client) as wire:
        await wire.send("reload")
        await until(lambda: commands(client) == 1)
        ending = asyncio.create_task(client.server.close())
        (refused,), code = await wire.rest()
        await ending
    await asyncio.gather(first, return_exceptions=True)
    assert (refused["error"]["type"], refused["error"]["code"], code) == ("server_error", "stopping", 1001)


@EVERY_DIALECT
async def test_a_fault_ends_the_session(client: Client, monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    """An unexpected error is reported as such, and the socket closed with 1011."""
    monkeypatch.setattr(client.app[SETS].default.manager, "reload_characters", None)
    async with wired(client, dialect) as wire:
        await wire.send("reload", sessions="keep")
        (fault,), code = await wire.rest()
    assert (fault["error"]["code"], code) == ("internal_error", 1011)


@EVERY_DIALECT
async def test_a_refusal_carries_the_report(client: Client, write: Write, dialect: str) -> None:
    """The error of a refusal has the report with files and lines, in the dialect's own shape; the session continues."""
    write("bob.py", "X = 1\n1 / 0")
    async with wired(client, dialect) as wire:
        error = await wire.refusal(on_error="abort")
        assert (await wire.ask("list"))["character_count"] == 1
    assert (error["type"], error["code"]) == ("invalid_request_error", "set_rejected")
    assert error["message"] == error["report"]["message"]
    assert [(failed["file"], failed["line"]) for failed in error["report"]["errors"]] == [("bob.py", 2)]
    keys = {"type", "code", "message", "param", "report"}
    assert error.keys() == keys | ({"details"} if dialect == "unmute" else {"event_id"})


@pytest.mark.parametrize("fields", [{"directory": "/no/such/directory"}, {"on_error": "abort"}])
async def test_a_refused_event_is_named(client: Client, write: Write, fields: dict[str, str]) -> None:
    """The error has the `event_id` of its event, however late it is sent."""
    write("bob.py", "1 / 0")
    async with wired(client) as wire:
        assert (await wire.refusal(event_id="mine", **fields))["event_id"] == "mine"
        assert (await wire.refusal(event_id="bad", colour="red"))["event_id"] == "bad"


@pytest.mark.parametrize("fields", [{"directory": "/no/such/directory"}, {"colour": "red", "directory": "x"}])
async def test_a_refusal_equals_the_problem_document(client: Client, fields: dict[str, str]) -> None:
    """Code, sentence and report are those of the problem document."""
    async with wired(client) as wire:
        error = await wire.refusal(**fields)
        problem = await (await client.post(RELOAD, json=fields)).json()
    assert (error["code"], error["message"]) == (problem.pop("code"), problem.pop("detail"))
    report = {name: value for name, value in problem.items() if name not in VOLATILE | {"type", "title", "status"}}
    assert {name: value for name, value in error.get("report", {}).items() if name not in VOLATILE} == report


async def test_endless_fields_are_refused(client: Client) -> None:
    """An event may be as long as a request."""
    async with wired(client) as wire:
        assert (await wire.refusal(reason="x" * characters.MOST_RELOAD_BYTES))["code"] == "request_too_large"


@pytest.mark.parametrize("on_error", ["exclude", "abort"])
async def test_tracebacks_do_not_make_an_event_too_long(
    client: Client, write: Write, monkeypatch: pytest.MonkeyPatch, on_error: str
) -> None:
    """The tracebacks of a report that is too long for one event are left out, and its errors stay."""
    write("bob.py", "1 / 0")
    for most, is_whole in ((MOST_EVENT, True), (1_000, False)):
        monkeypatch.setattr("charhost.web.realtime.character_commands.MOST_EVENT", most)
        async with wired(client) as wire:
            answer = await wire.ask("reload", on_error=on_error, sessions="keep")
        (failed,) = (answer if on_error == "exclude" else answer["error"]["report"])["errors"]
        assert ("traceback" in failed, failed["line"]) == (is_whole, 1)


async def test_the_list_counts_as_well(client: Client, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracebacks are left out too where only the list after the report makes an event too long."""
    write("bob.py", "1 / 0")
    write("eve.py", character("Eve") + "METADATA = {'comment': 'x' * 2_000}")
    monkeypatch.setattr("charhost.web.realtime.character_commands.MOST_EVENT", 2_500)
    async with wired(client) as wire:
        (failed,) = (await wire.ask("reload", sessions="keep"))["errors"]
    assert "traceback" not in failed


async def test_an_endless_number_is_refused(client: Client) -> None:
    """A number that is too large for JSON's readers is not taken for null."""
    async with wired(client) as wire:
        await wire.ws.send_str('{"type": "session.characters.reload", "drain_seconds": 1e400}')
        assert (await wire.next())["error"]["code"] == "invalid_request"


@EVERY_DIALECT
async def test_without_authority_nothing_is_learned(client: Client, directory: Path, dialect: str) -> None:
    """Without authority an existing path, a missing one and an invalid request have the same response, to the byte."""
    asked: list[dict[str, Any]] = [
        {"directory": str(directory)},
        {"directory": "/no/such/directory"},
        {"directory": "characters", "colour": "red"},
        {"reason": "x" * characters.MOST_RELOAD_BYTES},
        {},
    ]
    problem = await (await client.post(RELOAD, json={}, headers=FOREIGN)).json()
    answers = []
    async with wired(client, dialect, headers=FOREIGN) as wire:
        for fields in asked:
            await wire.send("reload", **fields)
            answers.append(await wire.ws.receive_str(timeout=LIMIT))
    assert len({answer.replace(json.loads(answer)["event_id"], "") for answer in answers}) == 1
    error = json.loads(answers[0])["error"]
    assert (error["type"], error["code"], error["message"]) == (
        "invalid_request_error",
        problem["code"],
        problem["detail"],
    )
    assert client.app[SETS].default.manager.current.generation == 1


async def test_the_key_for_talking_is_not_enough(start: StartClient) -> None:
    """Only the admin key lets a session reload; with the other one it may list."""
    client = await start(admin_key="root", api_key="guest")
    async with wired(client, key="guest") as guest, wired(client, key="root") as root:
        assert (await guest.refusal())["code"] == "invalid_key"
        assert (await guest.ask("list"))["character_count"] == 1
        assert (await root.ask("reload"))["outcome"] == "applied"


async def test_wrong_keys_are_counted(start: StartClient) -> None:
    """A wrong key that a session's command is refused for counts like one over HTTP; the right key opens."""
    client = await start(admin_key="root")
    codes = []
    for _ in range(2):
        async with wired(client, key="guess") as wire:
            codes.append((await wire.refusal())["code"])
    assert codes == ["invalid_key", "invalid_key"]
    assert client.app[METRICS].auth_failures.labels("admin")._value.get() == 2
    async with wired(client, key="root") as wire:
        assert (await wire.ask("reload"))["outcome"] == "applied"


@pytest.mark.parametrize(("before", "after", "code"), [("root", None, "invalid_key"), (None, "root", None)])
async def test_authority_is_that_of_the_last_upgrade(
    start: StartClient, before: str | None, after: str | None, code: str | None
) -> None:
    """A resumed session has the authority of its own handshake, not that of the first one."""
    client = await start(admin_key="root")
    async with wired(client, key=before) as lost:
        (session_id,) = client.app[SESSIONS]._live
        async with wired(client, key=after, params={"resume": session_id}) as wire:
            answer = await wire.ask("reload", sessions="keep")
        await lost.rest()
    assert answer.get("error", {}).get("code") == code


ROWS = [
    row
    for row in TABLE
    if row.path == RELOAD
    and row.body is None
    and not row.headers.keys() & {"Content-Type", "If-Match", "Authorization"}
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)
async def test_every_outcome_is_reported_as_over_http(
    row: Row, start: StartClient, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """For each outcome the response, the report, the metric, the log line and the history agree (promise 5)."""
    client = await start(**row.settings)
    row.world(Scene(directory, monkeypatch, row.settings))
    if row.world is stopping:
        await client.app[SETS].default.manager.close(0)
    before = Before(client, caplog)

    async with wired(client, headers=row.headers) as wire:
        answer = await wire.ask("reload", **row.fields)

    report = answer.get("error", {}).get("report", {}) if row.code else answer
    assert answer.get("error", {}).get("code") == row.code
    if row.code is not None:
        kind = "server_error" if row.status >= 500 else "invalid_request_error"
        assert (answer["type"], answer["error"]["type"]) == ("error", kind)
    await before.check(row, "websocket", report)
