"""A client of the GA or the beta dialect over a real socket, and a model whose responses a test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from charhost.llm.model import CallDelta, Delta, Usage
from tests.conftest import Client
from tests.scripted import ScriptedModel, Step, end
from tests.web.realtime.event_grammar import Dialect, Event, Grammar, refused_by_agents

REALTIME = "/v1/realtime"


LIMIT = 180.0


DIALECTS = pytest.mark.parametrize("dialect", ["ga", "beta"])


WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


BEGIN = ["response.output_item.added", "conversation.item.added"]


DONE = ["conversation.item.done", "response.output_item.done"]


MESSAGE = [
    *BEGIN,
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    *DONE,
]


CALL = [*BEGIN, "response.function_call_arguments.delta", "response.function_call_arguments.done", *DONE]


_YES: list[Step] = ["Yes.", end(usage=Usage(7, 3))]


class Script(ScriptedModel):
    """A model with the responses that a test adds, and "Yes." after them; `go` is an event to wait for."""

    def __init__(self) -> None:
        super().__init__(_YES)
        self.go = asyncio.Event()

    def then(self, *steps: Step) -> Script:
        """Add a response."""
        is_ended = isinstance(steps[-1], Delta) and steps[-1].finish is not None
        script = [*steps] if is_ended else [*steps, end(usage=Usage(7, 3))]
        self._scripts = (*self._scripts[:-1], script, _YES)
        return self

    async def stopped(self) -> None:
        """Wait until no request is open."""
        while not self.ended:
            await asyncio.sleep(0.001)


def call(name: str, *arguments: str, index: int = 0) -> Delta:
    """A tool call in pieces, as one delta."""
    first = CallDelta(index, f"call_{index + 1}", name, "")
    return Delta(calls=(first, *(CallDelta(index, None, None, piece) for piece in arguments)))


class Caller:
    """A client on its socket; each event it receives is checked by the grammar."""

    def __init__(self, ws: ClientWebSocketResponse, dialect: Dialect) -> None:
        self.ws = ws
        self.events: list[Event] = []
        self.grammar = Grammar(dialect)

    async def send(self, kind: str, **fields: object) -> None:
        """Send an event."""
        await self.ws.send_json({"type": kind, **fields})

    async def next(self) -> Event:
        """The next event."""
        event: Event = await self.ws.receive_json(timeout=LIMIT)
        self.grammar.feed(event)
        self.events.append(event)
        return event

    async def until(self, kind: str) -> Event:
        """Return the next event of that type; an error instead fails the test."""
        while (event := await self.next())["type"] != kind:
            assert event["type"] != "error", event
        return event

    async def ask(self, kind: str, **fields: object) -> Event:
        """Send an event, and return the next one."""
        await self.send(kind, **fields)
        return await self.next()

    async def error(self, kind: str, **fields: object) -> Any:
        """Send an event, and return its error."""
        await self.send(kind, **fields)
        return (await self.until("error"))["error"]

    async def update(self, **session: object) -> Any:
        """The session after an update."""
        await self.send("session.update", session=session)
        return (await self.until("session.updated"))["session"]

    async def add(self, text: str = "Hi", previous: str | None = None, **fields: object) -> Event:
        """The item that a text of the user's becomes."""
        content = [{"type": "input_text", "text": text}]
        return await self.create({"type": "message", "role": "user", "content": content, **fields}, previous)

    async def create(self, item: Event, previous: str | None = None) -> Event:
        """An item of the client's own, as the server has it."""
        await self.send("conversation.item.create", item=item, previous_item_id=previous)
        if self.grammar.dialect == "beta":
            return await self.until("conversation.item.created")
        await self.until("conversation.item.added")
        return await self.next()

    async def respond(self, **response: object) -> Any:
        """The response at its end."""
        await self.send("response.create", response=response)
        return (await self.until("response.done"))["response"]

    async def end(self) -> int:
        """The close code, after all that is still sent."""
        while (message := await self.ws.receive(timeout=LIMIT)).type is WSMsgType.TEXT:
            self.grammar.feed(message.json())
            self.events.append(message.json())
        assert message.type is WSMsgType.CLOSE
        return int(message.data)

    def since(self, kind: str) -> list[str]:
        """The types of the events from the last one of that type on; of deltas in a row one."""
        kinds = [event["type"] for event in self.events]
        last = len(kinds) - 1 - kinds[::-1].index(kind)
        return [one for one, _ in groupby(kinds[last:])]


@asynccontextmanager
async def calling(client: Client, dialect: Dialect = "ga", speaker: Any = None, **params: str) -> AsyncIterator[Any]:
    """A client that was greeted."""
    async with client.ws_connect(REALTIME, params={"dialect": dialect, **params}, max_msg_size=0) as ws:
        caller = (speaker or Caller)(ws, dialect)
        assert (await caller.next())["type"] == "session.created"
        yield caller
    if dialect == "ga":
        assert await refused_by_agents(caller.events) == []


def spelled(kinds: list[str], dialect: Dialect) -> list[str]:
    """A trace of the GA dialect in another one."""
    if dialect == "ga":
        return kinds
    kinds = [kind for kind in kinds if kind != "conversation.item.done"]
    created = [kind.replace("conversation.item.added", "conversation.item.created") for kind in kinds]
    return [kind.replace("output_text", "text") for kind in created]


def transport(caller: Caller) -> asyncio.Transport:
    """The connection below a client's socket."""
    connection = caller.ws._response.connection
    assert connection is not None
    assert isinstance(connection.transport, asyncio.Transport)
    return connection.transport
