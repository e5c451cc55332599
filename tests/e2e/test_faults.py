"""The fault table: whatever upstreams, clients and characters do, a response ends once, and no other is affected."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from llmock.pytest_plugin import LLMock
from pydantic_core import from_json, to_json

from charhost.llm.openai import connections
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.connections import readers
from charhost.web.keys import METRICS, SESSIONS
from charhost.web.realtime import handler
from tests.conftest import Client, character
from tests.e2e.conftest import ENVIRONMENT, free_port, wait_for
from tests.e2e.doors import (
    ALL,
    HELD,
    LIMIT,
    SOCKETS,
    WORDS,
    Ending,
    Ga,
    Plain,
    Script,
    Socket,
    Streamed,
    Unmute,
    Upstream,
    Visit,
    chunk,
    held,
    held_until,
    well,
)
from tests.e2e.mute_clients import small_socket
from tests.e2e.websocket_frames import TEXT, head
from tests.llm.openai.scripted_upstream import HEAD, Line
from tests.reload.helpers import Write

KEY = "sk-f4ult0123456789abcdef"
GOOD = Ending(WORDS)

THROUGH_EVERY_DOOR = pytest.mark.parametrize("door", ALL)
OVER_EVERY_SOCKET = pytest.mark.parametrize("door", SOCKETS)

Serve = Callable[..., Awaitable[Client]]


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let nothing here be logged as an error: an error is a fault of charhost's own."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR] == []


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A model's server that listens."""
    upstream = Upstream()
    await upstream.open()
    yield upstream
    upstream.close()


@pytest.fixture
def serve(directory: Path, aiohttp_client: Callable[..., Awaitable[Client]], upstream: Upstream) -> Serve:
    """Serves the directory with these settings, over sockets that hold little."""

    async def serve(**settings: Any) -> Client:
        asking = {"directory": directory, "llm_url": upstream.url, "llm_model": "big", "llm_key": KEY}
        app = create_app(Settings(**(asking | settings)))
        return await aiohttp_client(TestServer(app, socket_factory=small_socket))

    return serve


def counted(client: Client, metric: str) -> dict[tuple[str, ...], float]:
    """Return the values of a counter by its labels."""
    families = client.app[METRICS].registry.collect()
    samples = [sample for family in families for sample in family.samples]
    return {tuple(s.labels.values()): s.value for s in samples if s.name == f"charhost_{metric}_total"}


async def until(holds: Callable[[], bool], seconds: float = LIMIT) -> None:
    """Wait until a condition holds that no event announces."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


async def crowd(client: Client, count: int) -> list[Ending]:
    """Have others talk with Ada, at all doors."""
    return await asyncio.gather(*(ALL[number % len(ALL)](client).turn() for number in range(count)))


# What the upstream does


def secrets_of(url: str) -> str:
    """Return the secrets that no client may receive."""
    port = re.findall(r"\d+", url)[-2]
    return f"request to {url}/chat/completions with key {KEY} on port {port} failed"


async def cut_before(line: Line) -> None:
    line.writer.close()


async def cut_in_the_middle(line: Line) -> None:
    line.send(HEAD, b"Content-Length: 9999\r\n\r\n", chunk(content="one "))
    line.writer.close()


async def too_many(line: Line) -> None:
    line.answer(b"", "429 Too Many Requests")


def body_script(body: str, kind: str = "text/event-stream") -> Script:
    """Return a script that sends these bytes, with the address of the server in the place of `{}`."""

    async def script(line: Line) -> None:
        url = f"http://127.0.0.1:{line.writer.get_extra_info('sockname')[1]}/v1"
        line.answer(body.replace("{}", secrets_of(url)).encode(), kind=kind)

    return script


Arrange = Callable[[LLMock, Upstream], str]

# The server is asked for its models, too.
FOR_A_TURN: Mapping[str, Any] = {"model": "big"}


def refusing(status: int, **more: Any) -> Arrange:
    """Make llmock refuse one request with this status."""
    return lambda mock, _: mock.fail(
        status, **({**FOR_A_TURN, "message": secrets_of(mock.base_url())} | more)
    ).base_url()


def breaking(name: str, **more: Any) -> Arrange:
    """Make llmock break one response in this way."""
    return lambda mock, _: str(getattr(mock, name)(**more).base_url())


def following(*scripts: Script) -> Arrange:
    """Have the own server follow these scripts, one a request."""
    return lambda _, upstream: upstream.then(*scripts).url


@dataclass(frozen=True)
class Fault:
    """A fault of an upstream, and its response: `status` is the HTTP status, where HTTP still has one."""

    arrange: Arrange
    error_type: str
    status: int = 502
    words: int = 0
    deadlines: Mapping[str, float] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return "rate_limit_exceeded" if self.status == 429 else "upstream_error"


SLOW = {"llm_first_deadline": 0.4}
PAUSING = {"llm_idle_deadline": 0.4}
ONE = chunk(content="one ").decode()

FAULTS = {
    "down": Fault(lambda _, upstream: upstream.close().url, "unreachable"),
    "401": Fault(refusing(401), "unauthorized"),
    "403": Fault(refusing(403), "unauthorized"),
    "429": Fault(following(too_many, too_many, too_many), "rate_limited", 429),
    "429 and when to come back": Fault(refusing(429, retry_after=60), "rate_limited", 429),
    "500": Fault(refusing(500), "server_error"),
    "context too long": Fault(refusing(400, code="context_length_exceeded"), "refused", 400),
    "stalls before": Fault(breaking("slow_first_token", seconds=60), "timeout", 504, deadlines=SLOW),
    "stalls in the middle": Fault(breaking("stall", after_chunks=3), "timeout", 504, 2, PAUSING),
    "cut before": Fault(following(cut_before, cut_before), "unreachable"),
    "cut in the middle": Fault(following(cut_in_the_middle), "truncated", words=1),
    "dropped in the middle": Fault(breaking("disconnect", after_chunks=3), "truncated", words=2),
    "broken JSON": Fault(breaking("corrupt", after_chunks=3), "malformed", words=2),
    "ends early": Fault(breaking("truncate", after_chunks=3), "truncated", words=2),
    "HTML": Fault(following(body_script("<html>{}</html>", "text/html")), "malformed"),
    "error at first": Fault(following(body_script('data: {"error":{"message":"{}"}}\n\n')), "server_error"),
    "error in the stream": Fault(
        following(body_script(ONE + 'data: {"error":{"message":"{}","code":500}}\n\n')), "server_error", words=1
    ),
}


@THROUGH_EVERY_DOOR
@pytest.mark.parametrize("name", FAULTS)
async def test_upstream_fails(
    name: str, door: type[Visit], serve: Serve, llmock: LLMock, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault ends one response by its protocol, is counted once, shows no secret, and a good response follows."""
    fault = FAULTS[name]
    monkeypatch.setattr(connections, "_FIRST_PAUSE", 0.01)
    url = fault.arrange(llmock.reply(" ".join(WORDS), times=None), upstream)
    client = await serve(llm_url=url, **fault.deadlines)
    visit = door(client)
    assert_error(await visit.turn(), fault, door)
    await upstream.open()
    assert (await visit.turn()).words == WORDS
    assert counted(client, "upstream_errors") == {(fault.error_type,): 1}
    assert counted(client, "turns") == {(door.front_door, "failed"): 1, (door.front_door, "completed"): 1}
    assert_no_secret(url, visit)


def assert_error(ending: Ending, fault: Fault, door: type[Visit]) -> None:
    """Check that a client received a fault in the form of its protocol."""
    assert (ending.code, ending.words) == (fault.code, [] if door is Plain else WORDS[: fault.words])
    assert ending.message
    has_status = door is Plain or (door is Streamed and fault.words == 0)
    assert ending.status == (fault.status if has_status else 200)
    assert (ending.retry_after is not None) == (ending.status == 429)


def assert_no_secret(url: str, visit: Visit) -> None:
    """Search all that a client received for the upstream's address and for parts of the key."""
    received = "\n".join(visit.received)
    port = url.rpartition(":")[2].partition("/")[0]
    assert (
        re.search(rf"127\.0\.0\.1|localhost|(?<![\w-]){port}(?!\w)|f4ult|23456789ab|chat/completions", received) is None
    )


@THROUGH_EVERY_DOOR
async def test_upstream_is_unavailable_once(door: type[Visit], serve: Serve, llmock: LLMock) -> None:
    """A single 503 is retried without an effect on the client."""
    client = await serve(
        llm_url=llmock.fail(503, retry_after=0, **FOR_A_TURN).reply(" ".join(WORDS), times=None).base_url()
    )
    assert await door(client).turn() == GOOD
    assert counted(client, "turns") == {(door.front_door, "completed"): 1}
    assert counted(client, "upstream_errors") == {}


async def test_retry_after_of_an_upstream_is_passed_on(serve: Serve, llmock: LLMock) -> None:
    """A client of chat completions receives the upstream's `Retry-After`."""
    client = await serve(llm_url=llmock.fail(429, retry_after=60, **FOR_A_TURN).base_url())
    assert (await Plain(client).turn()).retry_after == "60"


# What clients do


@THROUGH_EVERY_DOOR
async def test_client_leaves_in_the_middle(door: type[Visit], serve: Serve, upstream: Upstream) -> None:
    """After the client has left the upstream's connection is closed."""
    client = await serve()
    visit = door(client)
    upstream.then(held)
    await visit.ask()
    await asyncio.wait_for(upstream.asked.get(), LIMIT)
    await visit.first_words()
    await visit.leave()
    await asyncio.wait_for(upstream.idle.wait(), 60)
    await until(lambda: counted(client, "turns") == {(door.front_door, "cancelled"): 1})


@OVER_EVERY_SOCKET
async def test_client_closes_in_the_middle(door: type[Socket], serve: Serve, upstream: Upstream) -> None:
    """A closing handshake in the middle ends the response as well."""
    client = await serve()
    visit = door(client)
    upstream.then(held)
    await visit.ask()
    await visit.first_words()
    await (await visit.connect()).close()
    await asyncio.wait_for(upstream.idle.wait(), 60)


@pytest.mark.parametrize(
    "door", [Ga, *(pytest.param(door, marks=pytest.mark.slow) for door in SOCKETS if door is not Ga)]
)
async def test_client_floods(door: type[Socket], serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends without end and does not read is disconnected; others have responses meanwhile."""
    monkeypatch.setattr(readers, "STALLED_READER_LIMIT", 1)
    client = await serve()
    visit = door(client)
    await visit.ask()
    await visit.ending()
    flooding = asyncio.create_task(flood(visit))
    assert await crowd(client, 10) == [GOOD] * 10
    await until(lambda: counted(client, "sessions_closed").get(("stalled",)) == 1)
    await asyncio.wait_for(flooding, LIMIT)


async def flood(visit: Socket) -> None:
    """Send nonsense until the line is cut."""
    with suppress(ConnectionError):
        while True:
            await visit.send("nonsense", event_id="x" * 400)


@OVER_EVERY_SOCKET
async def test_message_of_10_megabytes(door: type[Socket], serve: Serve) -> None:
    """An event of 10 MB is refused for its long text, and the session continues."""
    visit = door(await serve())
    text = "x" * (10 << 20)
    if door is Unmute:
        await visit.send("session.update", session={"instructions": {"type": "constant", "text": text}})
    else:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await visit.send("conversation.item.create", item=item)
    assert (await visit.error())["type"] == "invalid_request_error"
    assert await still_good(visit)


async def still_good(visit: Socket) -> bool:
    """Return whether a response arrives over the client's current socket."""
    if isinstance(visit, Unmute):
        await visit.update()
        assert (await visit.next())["type"] == "session.updated"
        await visit.send("input_audio_buffer.append", audio="")
        return await visit.ending() == GOOD
    return await visit.turn() == GOOD


@pytest.mark.parametrize("door", [Plain, Streamed])
async def test_request_of_10_megabytes(door: type[Plain], serve: Serve, upstream: Upstream) -> None:
    """A long conversation has a response, and its oldest part is left out."""
    client = await serve()
    history = [{"role": role, "content": "x" * 1250} for role in ("user", "assistant")] * 4_000
    body = {"model": "Ada", "messages": [*history, {"role": "user", "content": "Hi"}], "stream": door.stream}
    async with client.post("/v1/chat/completions", data=large(body)) as answer:
        assert answer.status == 200
        await answer.read()
    assert len(await upstream.asked.get()) < 100_000
    assert await door(client).turn() == GOOD


def large(body: Mapping[str, object]) -> io.BytesIO:
    """A body as aiohttp wants the large ones."""
    return io.BytesIO(to_json(body))


@OVER_EVERY_SOCKET
async def test_message_over_the_limit(door: type[Socket], serve: Serve) -> None:
    """A message over the limit closes its session with 1009, and no other."""
    client = await serve()
    visit, other = door(client), Ga(client)
    await other.ask()
    assert (await other.ending(), await door(client).turn()) == (GOOD, GOOD)
    transport = (await visit.connect())._writer.transport
    assert transport is not None
    transport.write(head(TEXT, handler.MOST_MESSAGE_BYTES + 1))
    assert (await visit.rest())[1] == 1009
    assert await other.turn() == GOOD


@pytest.mark.parametrize("door", [Plain, Streamed])
async def test_request_over_the_limit(door: type[Plain], serve: Serve) -> None:
    """A body over the limit is refused in the shape of OpenAI's errors, and the next request is good."""
    client = await serve()
    body = {"model": "Ada", "stream": door.stream, "messages": [{"role": "user", "content": "x" * (25 << 20)}]}
    async with client.post("/v1/chat/completions", data=large(body)) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")
    assert await door(client).turn() == GOOD


@OVER_EVERY_SOCKET
async def test_binary_frame(door: type[Socket], serve: Serve) -> None:
    """A binary frame is an error, and the session continues."""
    visit = door(await serve())
    if door is Unmute:
        await visit.send("input_audio_buffer.append", audio="T2dnUw?")  # by this the server knows whom it has
        assert (await visit.error())["type"] == "invalid_request_error"
    await (await visit.connect()).send_bytes(b"\0OggS")
    error = await visit.error()
    assert (error["type"], error["code"]) == ("invalid_request_error", None if door is Unmute else "invalid_event")
    assert await still_good(visit)


# What characters do

MISBEHAVIOUR = {
    "ValueError": "raise ValueError('boom')",
    "SystemExit": "raise SystemExit('boom')",
    "KeyboardInterrupt": "raise KeyboardInterrupt('boom')",
    "None": "return None",
    "bytes": "return b'boom'",
    "10 MB": "return 'x' * 10_000_000",
}
RESULTS = {
    "ValueError": ("ValueError", "Error: ValueError: boom"),
    "SystemExit": ("SystemExit", "Error: SystemExit: boom"),
    "KeyboardInterrupt": ("KeyboardInterrupt", "Error: KeyboardInterrupt: boom"),
    "None": ("TypeError", "Error: TypeError: handle_tool_call returned a value of type NoneType: expected a str"),
    "bytes": ("TypeError", "Error: TypeError: handle_tool_call returned a value of type bytes: expected a str"),
    "10 MB": (None, "x" * 100_000),
}
HANG = "while True: time.sleep(0.005)"

PROMPT = """
TURNS = []
def make_system_prompt(self):
    TURNS.append(1)
    return misbehave() if len(TURNS) <= BAD_TURNS else "Be bad."
PromptGenerator.make_system_prompt = make_system_prompt
"""
TOOL = """
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PromptGenerator.handle_tool_call = lambda self, tool_name, tool_input: misbehave()
"""


def bad(where: str, *misbehaviour: str, turns: int = 1) -> str:
    """A character that misbehaves in its tool, or else where its prompt is made so many times."""
    lines = [character("Bad"), "import time", f"BAD_TURNS = {turns}", "def misbehave():"]
    return "\n".join([*lines, *(f"    {line}" for line in misbehaviour), where])


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
async def test_prompt_generator_misbehaves(misbehaviour: str, serve: Serve, write: Write) -> None:
    """A prompt that misbehaves ends one response in each API, the next one is good, and twenty other clients are not
    affected."""
    write("bad.py", bad(PROMPT, misbehaviour, turns=len(ALL)))
    client = await serve()
    visits = [door(client, "Bad") for door in ALL]
    endings, others = await asyncio.gather(all_turns(visits), crowd(client, 20))
    assert [(ending.code, ending.words) for ending in endings] == [("prompt_failed", [])] * len(ALL)
    assert [ending.status for ending in endings] == [500 if isinstance(visit, Plain) else 200 for visit in visits]
    assert not any("boom" in frame for visit in visits for frame in visit.received)
    assert [*others, *await all_turns(visits)] == [GOOD] * (20 + len(ALL))
    failed = {labels: count for labels, count in counted(client, "turns").items() if labels[1] == "failed"}
    assert failed == {("realtime", "failed"): 3, ("completions", "failed"): 2}


async def all_turns(visits: Sequence[Visit]) -> list[Ending]:
    """Have them all take a turn at the same time."""
    return await asyncio.gather(*(visit.turn() for visit in visits))


@pytest.mark.parametrize("misbehaviour", RESULTS)
async def test_tool_misbehaves(misbehaviour: str, serve: Serve, upstream: Upstream, write: Write) -> None:
    """A tool that misbehaves is an error for the model in each API, the response continues, and twenty other clients
    are not affected."""
    write("bad.py", bad(TOOL, MISBEHAVIOUR[misbehaviour]))
    client = await serve()
    endings, others = await asyncio.gather(all_turns([door(client, "Bad") for door in ALL]), crowd(client, 20))
    assert [*endings, *others] == [GOOD] * (20 + len(ALL))
    error_type, result = RESULTS[misbehaviour]
    assert [message["content"] for message in tool_results(upstream)] == [result] * len(ALL)
    assert counted(client, "tool_errors") == ({(error_type,): len(ALL)} if error_type else {})


def tool_results(upstream: Upstream) -> list[Any]:
    """Return the results of tools that the upstream has received."""
    messages = [from_json(upstream.asked.get_nowait())["messages"][-1] for _ in range(upstream.asked.qsize())]
    return [message for message in messages if message["role"] == "tool"]


@pytest.mark.parametrize("where", ["prompt", "tool"])
async def test_character_hangs(where: str, serve: Serve, write: Write, tmp_path: Path) -> None:
    """While a character hangs in all APIs at once, all other clients have responses before the deadlines."""
    mark = tmp_path / "hanging"
    begin = f"with open({str(mark)!r}, 'a') as mark: mark.write('x')"
    write("bad.py", bad(PROMPT if where == "prompt" else TOOL, begin, HANG, turns=len(ALL)))
    client = await serve(**{f"{where}_deadline": 1.0})
    visits = [door(client, "Bad") for door in ALL]
    turns = [asyncio.create_task(visit.turn()) for visit in visits]
    await until(lambda: mark.exists() and len(mark.read_text()) == len(ALL))
    assert (await client.get("/v1/health")).status == 200
    assert not any(turn.done() for turn in turns)
    assert await crowd(client, 20) == [GOOD] * 20
    endings = await asyncio.gather(*turns)
    assert [ending.code for ending in endings] == ["prompt_failed" if where == "prompt" else None] * len(ALL)
    if where == "prompt":
        assert await all_turns(visits) == [GOOD] * len(ALL)


async def test_hanging_tool_is_reported_to_the_model(serve: Serve, upstream: Upstream, write: Write) -> None:
    """The model receives the timeout of its tool, and the metrics count it."""
    write("bad.py", bad(TOOL, HANG))
    client = await serve(tool_deadline=0.1)
    assert await Ga(client, "Bad").turn() == GOOD
    assert [message["content"] for message in tool_results(upstream)] == [
        "Error: the tool was not finished after 0.1 s"
    ]
    assert counted(client, "tool_errors") == {("Timeout",): 1}


# Nothing but `charhost serve`


@dataclass(frozen=True)
class Offline:
    """A process that was given nothing but a port."""

    url: str
    log: Path


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offline]:
    """`charhost serve`, as it comes."""
    log, port = tmp_path_factory.mktemp("offline") / "log", free_port()
    command = [sys.executable, "-m", "tests.tapped", "serve", "--port", port]
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=ENVIRONMENT)
    try:
        wait_for(lambda: b"listens on" in log.read_bytes() or process.poll() is not None)
        yield Offline(f"http://127.0.0.1:{port}", log)
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()


@THROUGH_EVERY_DOOR
async def test_no_model_is_connected(door: type[Visit], offline: Offline) -> None:
    """Charlotte's first sentences have her name, and that no model is connected."""
    async with ClientSession(offline.url) as http:
        ending = await door(http, "Charlotte").turn()
    assert ending.code is None
    assert "Charlotte" in ending.words or "Charlotte" in " ".join(ending.words)
    assert re.search(r"\boffline\b|no language model is connected", " ".join(ending.words))


def test_health_reports_that_no_model_is_connected(offline: Offline) -> None:
    """`/v1/health` shows that no model is connected."""
    connection = HTTPConnection(offline.url.removeprefix("http://"), timeout=LIMIT)
    connection.request("GET", "/v1/health")
    health = from_json(connection.getresponse().read())
    connection.close()
    assert (health["ok"], health["llm"], health["llm_up"]) == (True, "offline", False)


def test_log_has_that_no_model_is_connected(offline: Offline) -> None:
    """The log has at the start that no model is connected, and the setting for one."""
    assert re.search(r"no language model configured \(set CHARHOST_LLM_URL\): using the", offline.log.read_text())


# A reload in the middle


@OVER_EVERY_SOCKET
async def test_reload_in_the_middle_of_a_turn(door: type[Socket], serve: Serve, upstream: Upstream) -> None:
    """A reload ends the response, then sends the fatal event and 1012, and closes the upstream's connection."""
    client = await serve()
    upstream.then(held)
    visit = door(client)
    await visit.ask()
    await visit.first_words()
    async with client.post("/v1/characters/reload", json={}) as answer:
        assert (answer.status, (await answer.json())["sessions"]["affected"]) == (200, 1)
    events, code = await visit.rest()
    *tail, fatal = events
    assert [event["type"] for event in tail] == TAILS[door.__name__]
    assert (fatal["error"]["type"], fatal["error"]["code"], code) == ("fatal", "characters_reloaded", 1012)
    assert visit.text.split() == WORDS[:HELD]
    await asyncio.wait_for(upstream.idle.wait(), 60)
    if door is not Unmute:
        response = tail[-1]["response"]
        assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", "characters_reloaded")
        assert [item["status"] for item in response["output"]] == ["incomplete"]
    assert await door(client).turn() == GOOD


_GA = ["output_text.done", "content_part.done", "output_item.done", "done"]
TAILS = {
    "Ga": [*(f"response.{kind}" for kind in _GA[:2]), "conversation.item.done", *(f"response.{k}" for k in _GA[2:])],
    "Beta": ["response.text.done", *(f"response.{kind}" for kind in _GA[1:])],
    "Unmute": ["response.text.delta", "response.text.done", "unmute.additional_outputs"],
}


@pytest.mark.parametrize("door", [Plain, Streamed])
async def test_completion_outlives_a_reload(door: type[Plain], serve: Serve, upstream: Upstream, write: Write) -> None:
    """A chat completion ends with the version it began with; the next one has the new version."""
    client = await serve()
    go = asyncio.Event()
    upstream.then(held_until(go))
    visit = door(client)
    await visit.ask()
    before = await asyncio.wait_for(upstream.asked.get(), LIMIT)
    await visit.first_words()
    write("ada.py", character("Ada", "Be new."))
    assert (await client.post("/v1/characters/reload", json={})).status == 200
    go.set()
    assert (await visit.ending(), await door(client).turn()) == (GOOD, GOOD)
    after = await upstream.asked.get()
    assert [from_json(body)["messages"][0]["content"] for body in (before, after)] == ["Be kind.", "Be new."]


# Everything at once


async def refused(line: Line) -> None:
    line.answer(b'{"error":{"message":"no"}}', "500 Internal Server Error", "application/json")


async def stalled(line: Line) -> None:
    await line.gone()


MOODS: tuple[Script, ...] = (
    *(well,) * 12,
    cut_before,
    cut_in_the_middle,
    refused,
    stalled,
    held,
    body_script("data: {broken\n\n"),
    body_script(ONE),
    body_script("<html>{}</html>", "text/html"),
    body_script('data: {"error":{"message":"{}"}}\n\n'),
)


@pytest.fixture
async def flaky(serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of a server with two places and an upstream that fails at random."""
    monkeypatch.setattr(connections, "_FIRST_PAUSE", 0.01)
    chance = Random(5)
    upstream.choose = lambda: chance.choice(MOODS)
    return await serve(llm_concurrency=2, llm_first_deadline=0.1, llm_idle_deadline=0.1)


async def hundred(client: Client, seconds: float) -> list[Ending]:
    """A hundred conversations over all doors, some of which are broken off in the middle."""
    chance = Random(7)

    async def talk(visit: Visit, patience: float) -> list[Ending]:
        endings: list[Ending] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while len(endings) < 3:
                    endings.append(await visit.turn())
        await visit.leave()
        return endings

    visits = [ALL[number % len(ALL)](client) for number in range(100)]
    patience = [chance.choice([0.05, 0.5, seconds]) for _ in visits]
    return list(chain.from_iterable(await asyncio.gather(*map(talk, visits, patience))))


async def test_hundred_conversations_with_a_flaky_upstream(
    flaky: Client, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Every response ends once, and afterwards no task, socket or place is left."""
    tasks = len(asyncio.all_tasks())
    endings = await hundred(flaky, 4)
    async with asyncio.timeout(LIMIT):
        while not {ending.code for ending in endings} >= {None, "upstream_error"}:  # a busy machine leaves no time
            endings.append(await Plain(flaky).turn())
    assert all(ending.words == WORDS for ending in endings if ending.code is None)
    await until(lambda: len(flaky.app[SESSIONS]) == 0)
    await assert_two_places(flaky, upstream)
    await flaky.close()
    await asyncio.wait_for(upstream.idle.wait(), LIMIT)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    gc.collect()
    assert "never retrieved" not in caplog.text


async def assert_two_places(client: Client, upstream: Upstream) -> None:
    """See that two requests, and no third one, are at the upstream at the same time; the short deadlines end them."""
    there: set[Line] = set()
    counts: list[int] = []

    async def script(line: Line) -> None:
        there.add(line)
        counts.append(len(there))
        try:
            await held(line)
        finally:
            there.discard(line)

    async def talk() -> None:
        while 2 not in counts:
            await Plain(client).turn()

    upstream.choose = lambda: script
    await asyncio.wait_for(asyncio.gather(*(talk() for _ in range(3))), LIMIT)
    assert max(counts) == 2
