"""Clients of each API of the server, and a model server behind it that fails on demand."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import ClientResponse, ClientSession, ClientWebSocketResponse, WSMsgType
from pydantic_core import from_json, to_json

from tests.conftest import Client
from tests.llm.openai.scripted_upstream import HEAD, Line
from tests.web.realtime.event_grammar import Dialect, Event, Grammar
from tests.web.realtime.unmute_events import OGG_PAGE, TABLE

# How long anything may take before a test gives up: nothing here is a measurement.
LIMIT = 180.0

Http = Client | ClientSession
Script = Callable[[Line], Awaitable[None]]

WORDS = ["one", "two", "three", "four"]
HELD = 1  # how many of the words `held` says before it waits


def chunk(**delta: Any) -> bytes:
    """Return one chunk of a streamed response."""
    return b"data: " + to_json({"choices": [{"delta": delta}]}) + b"\n\n"


_SPOKEN = [chunk(content=f"{word} ") for word in WORDS]
_CALL = chunk(tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "look", "arguments": "{}"}}])


def _finished(reason: str) -> bytes:
    return b"data: " + to_json({"choices": [{"delta": {}, "finish_reason": reason}]}) + b"\n\ndata: [DONE]\n\n"


async def well(line: Line) -> None:
    """Send all words, after a tool call if there is a tool."""
    asked = from_json(line.body)
    looks = "tools" in asked and asked["messages"][-1]["role"] != "tool"
    line.answer(_CALL + _finished("tool_calls") if looks else b"".join(_SPOKEN) + _finished("stop"))


async def held(line: Line) -> None:
    """Send the first word, and wait until the client leaves."""
    line.send(HEAD, b"Connection: close\r\n\r\n", *_SPOKEN[:HELD])
    await line.gone()


def held_until(go: asyncio.Event) -> Script:
    """Send the first word, and the others when the event is set."""

    async def script(line: Line) -> None:
        line.send(HEAD, b"Connection: close\r\n\r\n", *_SPOKEN[:HELD])
        await go.wait()
        line.send(*_SPOKEN[HELD:], _finished("stop"))
        line.writer.close()

    return script


class Upstream:
    """A model's server: each of the next requests gets a script of its own, all others get `well`."""

    def __init__(self) -> None:
        self.scripts: deque[Script] = deque()
        self.choose: Callable[[], Script] = lambda: self.scripts.popleft() if self.scripts else well
        self.asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.connections: set[Line] = set()
        self.idle = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def then(self, *scripts: Script) -> Upstream:
        """Have the next requests follow these scripts."""
        self.scripts.extend(scripts)
        return self

    async def open(self) -> None:
        """Listen, from the second time on where it listened before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> Upstream:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        return self

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer, len(self.connections))
        self.connections.add(line)
        self.idle.clear()
        try:
            while not writer.is_closing() and await line.receive():
                await self._answer(line)
        except ConnectionError:
            pass
        finally:
            self.connections.discard(line)
            writer.close()
            if not self.connections:
                self.idle.set()

    async def _answer(self, line: Line) -> None:
        if line.head.startswith("GET"):  # the list of models, by which its health is known
            line.answer(b'{"data": []}', kind="application/json")
            return
        self.asked.put_nowait(line.body)
        await self.choose()(line)


@dataclass(frozen=True)
class Ending:
    """How a response ended for its client: its text, and its error if it failed."""

    words: list[str]
    code: str | None = None
    message: str = ""
    status: int = 200
    retry_after: str | None = None


class Visit(ABC):
    """One client; `received` is all it received. A second turn uses the same socket where it can."""

    front_door: ClassVar[str]

    def __init__(self, http: Http, character: str = "Ada") -> None:
        self.http = http
        self.character = character
        self.received: list[str] = []
        self.text = ""

    async def turn(self) -> Ending:
        """Request a response, and read it to its end."""
        await self.ask()
        return await self.ending()

    @abstractmethod
    async def ask(self) -> None:
        """Request a response."""

    @abstractmethod
    async def first_words(self) -> None:
        """Wait for the first words, where a client gets them before the last."""

    @abstractmethod
    async def ending(self) -> Ending:
        """Read a response to its one end."""

    @abstractmethod
    async def leave(self) -> None:
        """Hang up without a word."""


class Socket(Visit):
    """A client of /v1/realtime."""

    front_door = "realtime"
    query: ClassVar[str]
    ws: ClientWebSocketResponse | None = None

    async def connect(self) -> ClientWebSocketResponse:
        """Open the socket, if it is not open yet."""
        if self.ws is None:
            self.ws = await self.http.ws_connect(f"/v1/realtime{self.query}", max_msg_size=0)
            await self.greeted()
        return self.ws

    async def greeted(self) -> None:
        """Wait for the first event of the server."""

    @abstractmethod
    def take(self, frame: str) -> Event:
        """Check one event, and note the words in it."""

    async def next(self) -> Event:
        """The next event."""
        assert self.ws is not None
        frame = await self.ws.receive_str(timeout=LIMIT)
        self.received.append(frame)
        return self.take(frame)

    async def send(self, kind: str, **fields: object) -> None:
        """Send an event."""
        await (await self.connect()).send_json({"type": kind, **fields})

    async def error(self) -> Any:
        """The next error event."""
        while (event := await self.next())["type"] != "error":
            pass
        return event["error"]

    async def first_words(self) -> None:
        while not self.text:
            await self.next()

    async def rest(self) -> tuple[list[Event], int]:
        """Return the events until the end, and the close code."""
        assert self.ws is not None
        events = []
        while (message := await self.ws.receive(timeout=LIMIT)).type is WSMsgType.TEXT:
            self.received.append(message.data)
            events.append(self.take(message.data))
        return events, int(self.ws.close_code or 0)

    async def leave(self) -> None:
        if self.ws is not None and not self.ws.closed:
            transport = self.ws._writer.transport
            assert transport is not None
            transport.abort()


class Ga(Socket):
    """A client of the GA dialect; its events go through the grammar, so that a response ends exactly once."""

    dialect: ClassVar[Dialect] = "ga"
    query = "?dialect=ga"

    def __init__(self, http: Http, character: str = "Ada") -> None:
        super().__init__(http, character)
        self.grammar = Grammar(self.dialect)

    async def greeted(self) -> None:
        assert (await self.next())["type"] == "session.created"
        assert self.ws is not None
        await self.ws.send_json({"type": "session.update", "session": {"model": self.character}})
        assert (await self.next())["type"] == "session.updated"

    def take(self, frame: str) -> Event:
        event: Event = json.loads(frame)
        self.grammar.feed(event)
        if event["type"] in ("response.output_text.delta", "response.text.delta"):
            self.text += event["delta"]
        return event

    async def ask(self) -> None:
        self.text = ""
        parts = [{"type": "input_text", "text": "Hi"}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": parts})
        await self.send("response.create")

    async def ending(self) -> Ending:
        while (event := await self.next())["type"] != "response.done":
            assert event["type"] != "error", event
        response = event["response"]
        assert ["incomplete" in str(item["status"]) for item in response["output"]] == [
            response["status"] != "completed" for _ in response["output"]
        ]
        if response["status"] == "completed":
            return Ending(self.text.split())
        assert response["status"] == "failed", response
        error = response["status_details"]["error"]
        return Ending(self.text.split(), error["code"], error["message"])


class Beta(Ga):
    """A client of the beta dialect."""

    dialect = "beta"
    query = "?dialect=beta"


class Unmute(Socket):
    """A client of Unmute's; a conversation has one response, so that another one needs a socket of its own."""

    query = ""

    async def ask(self) -> None:
        if self.ws is not None:
            await self.ws.close()
        self.ws, self.text = None, ""
        await self.update(voice=self.character)
        assert (await self.next())["type"] == "session.updated"
        await self.send("input_audio_buffer.append", audio=OGG_PAGE)

    async def update(self, **session: object) -> None:
        """Send a session.update."""
        await self.send("session.update", session={"allow_recording": False} | session)

    def take(self, frame: str) -> Event:
        TABLE.validate_json(frame)
        event: Event = json.loads(frame)
        if event["type"] == "unmute.response.text.delta.ready":
            self.text += event["delta"]
        return event

    async def ending(self) -> Ending:
        while (event := await self.next())["type"] != "response.text.done":
            assert event["type"] != "error", event
        assert event["text"] == self.text
        await self.update()  # what comes before its answer belongs to the turn
        errors = []
        while (event := await self.next())["type"] != "session.updated":
            assert event["type"] in ("unmute.additional_outputs", "error")
            errors += [event["error"]] if event["type"] == "error" else []
        if not errors:
            return Ending(self.text.split())
        (error,) = errors
        assert error["type"] == "server_error"
        return Ending(self.text.split(), error["details"], error["message"])


class Plain(Visit):
    """A client that wants its chat completion whole."""

    front_door = "completions"
    stream: ClassVar[bool] = False

    async def ask(self) -> None:
        self.text = ""
        self._begun = asyncio.Event()
        self._asking = asyncio.create_task(self._asked())

    async def first_words(self) -> None:
        pass  # there are no first words

    async def ending(self) -> Ending:
        async with asyncio.timeout(LIMIT):
            return await self._asking

    async def leave(self) -> None:
        self._asking.cancel()
        await asyncio.wait([self._asking])

    async def _asked(self) -> Ending:
        body = {"model": self.character, "messages": [{"role": "user", "content": "Hi"}], "stream": self.stream}
        async with self.http.post("/v1/chat/completions", json=body) as answer:
            self.received.append(str(answer.headers))
            if answer.content_type != "text/event-stream":
                return self._whole(answer, await answer.text())
            return await self._pieces(answer)

    def _whole(self, answer: ClientResponse, body: str) -> Ending:
        self.received.append(body)
        content = json.loads(body)
        if answer.status == 200:
            return Ending(content["choices"][0]["message"]["content"].split())
        error = content["error"]
        return Ending([], error["code"], error["message"], answer.status, answer.headers.get("Retry-After"))

    async def _pieces(self, answer: ClientResponse) -> Ending:
        events = []
        while line := (await answer.content.readuntil(b"\n\n")).decode():
            self.received.append(line)
            events.append(line.removeprefix("data: ").strip())
            if (piece := self._words(events[-1])) is not None:
                self.text += piece
                self._begun.set()
        *_, last = events
        assert events.count("[DONE]") == (last == "[DONE]")
        if last == "[DONE]":
            return Ending(self.text.split())
        error = json.loads(last)["error"]
        return Ending(self.text.split(), error["code"], error["message"])

    def _words(self, data: str) -> str | None:
        with suppress(ValueError):
            choices = json.loads(data).get("choices", [])
            return choices[0]["delta"].get("content") or None if choices else None
        return None


class Streamed(Plain):
    """A client that wants its chat completion in pieces."""

    stream = True

    async def first_words(self) -> None:
        async with asyncio.timeout(LIMIT):
            await self._begun.wait()


ALL: tuple[type[Visit], ...] = (Ga, Beta, Unmute, Plain, Streamed)
SOCKETS: tuple[type[Socket], ...] = (Ga, Beta, Unmute)
