"""Clients that hold a conversation of several turns through one of the doors, as their programs do."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import ClientWebSocketResponse

from tests.conftest import Client
from tests.e2e.doors import LIMIT, Unmute
from tests.strict_upstream import StrictUpstream

FUNCTION = {"name": "door", "parameters": {"type": "object"}}


@dataclass(frozen=True)
class Reply:
    """What a client receives in one turn: text, the id of a call of its tool, or an error."""

    text: str = ""
    call: str = ""
    error: str = ""


class Talk(ABC):
    """A conversation; from its second turn on a system message stands between the turns."""

    has_tools: ClassVar[bool] = True
    ws: ClientWebSocketResponse | None = None

    def __init__(self, client: Client) -> None:
        self.client = client
        self.tools = False
        self.turns = 0

    async def send_text(self) -> Reply:
        """Send a message, and return the response."""
        self.turns += 1
        await self.add("user", "Hello?")
        if self.turns > 1:
            await self.add("system", "It is late.")
            await self.add("user", "Are you there?")
        return await self.respond()

    async def cancel(self, upstream: StrictUpstream) -> None:
        """Send a message, and cancel the response after the first word."""
        self.turns += 1
        await self.add("user", "Tell me a story.")
        responding = asyncio.create_task(self.respond())
        await asyncio.wait_for(upstream.pausing.wait(), LIMIT)
        await self.stop(responding)

    async def stop(self, responding: asyncio.Task[Reply]) -> None:
        """Cancel a response by closing the connection."""
        responding.cancel()
        await asyncio.wait([responding])

    @abstractmethod
    async def add(self, role: str, text: str) -> None:
        """Add a message to the conversation."""

    @abstractmethod
    async def add_result(self, call: str) -> None:
        """Add the result of a call."""

    @abstractmethod
    async def respond(self) -> Reply:
        """Request a response, and add it to the conversation."""

    async def close(self) -> None:
        """Close the socket, if the client keeps one."""
        if self.ws is not None:
            await self.ws.close()


class Chat(Talk):
    """A client of chat completions, which sends the whole conversation; it uses many parts of the request."""

    stream: ClassVar[bool] = False

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.messages: list[dict[str, Any]] = []

    async def add(self, role: str, text: str) -> None:
        self.messages.append({"role": role, "content": [{"type": "text", "text": text}], "name": "zoe"})

    async def add_result(self, call: str) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call, "content": ""})

    async def respond(self) -> Reply:
        body: dict[str, Any] = {"model": "Ada", "messages": self.messages, "stream": self.stream}
        body |= {"max_completion_tokens": 50, "parallel_tool_calls": False}
        if self.tools:
            body["tools"] = [{"type": "function", "function": FUNCTION}]
        async with self.client.post("/v1/chat/completions", json=body) as response:
            text = await response.text()
        messages = self._messages(text)
        if "error" in messages[-1]:
            return Reply(error=messages[-1]["error"]["message"])
        return self._reply(messages)

    def _messages(self, text: str) -> list[Any]:
        if text.startswith("{"):  # a stream may begin with a comment
            found = json.loads(text)
            return [found if "error" in found else found["choices"][0]["message"]]
        chunks = [json.loads(event[6:]) for event in text.split("\n\n") if event.startswith("data: {")]
        return [chunk if "error" in chunk else chunk["choices"][0]["delta"] for chunk in chunks]

    def _reply(self, pieces: Sequence[Any]) -> Reply:
        text = "".join(piece.get("content") or "" for piece in pieces)
        calls = [call for piece in pieces for call in piece.get("tool_calls") or () if "id" in call]
        message = {"role": "assistant", "content": text or None}
        if not calls:
            self.messages.append(message)
            return Reply(text)
        called = {"id": calls[0]["id"], "type": "function", "function": {"name": "door", "arguments": "{}"}}
        self.messages.append(message | {"tool_calls": [called]})
        return Reply(text, called["id"])


class StreamedChat(Chat):
    """A client of chat completions that reads a stream."""

    stream = True


class Responses(Talk):
    """A client of the Responses API, which names the response before."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.input: list[dict[str, Any]] = []
        self.previous: str | None = None

    async def add(self, role: str, text: str) -> None:
        self.input.append({"role": role, "content": text})

    async def add_result(self, call: str) -> None:
        self.input.append({"type": "function_call_output", "call_id": call, "output": ""})

    async def respond(self) -> Reply:
        body: dict[str, Any] = {"model": "Ada", "input": self.input, "previous_response_id": self.previous}
        if self.tools:
            body["tools"] = [{"type": "function", **FUNCTION}]
        async with self.client.post("/v1/responses", json=body) as response:
            found = await response.json()
        if response.status != 200:
            return Reply(error=found["error"]["message"])
        self.input, self.previous = [], found["id"]
        return reply(found["output"])


class Realtime(Talk):
    """A client of a Realtime session."""

    dialect: ClassVar[str] = "ga"

    async def send(self, kind: str, **fields: Any) -> None:
        if self.ws is None:
            self.ws = await self.client.ws_connect(f"/v1/realtime?dialect={self.dialect}&model=Ada")
        await self.ws.send_json({"type": kind, **fields})

    async def add(self, role: str, text: str) -> None:
        item = {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
        await self.send("conversation.item.create", item=item)

    async def add_result(self, call: str) -> None:
        item = {"type": "function_call_output", "call_id": call, "output": ""}
        await self.send("conversation.item.create", item=item)

    async def respond(self) -> Reply:
        tools = [{"type": "function", **FUNCTION}] if self.tools else []
        await self.send("response.create", response={"tools": tools})
        assert self.ws is not None
        while (event := await self.ws.receive_json(timeout=LIMIT))["type"] != "response.done":
            assert event["type"] != "error", event
        response = event["response"]
        if response["status"] == "failed":
            return Reply(error=response["status_details"]["error"]["message"])
        return reply(response["output"])

    async def stop(self, responding: asyncio.Task[Reply]) -> None:
        await self.send("response.cancel")
        await asyncio.wait_for(responding, LIMIT)


class BetaRealtime(Realtime):
    """A client of the beta dialect."""

    dialect = "beta"


class UnmuteTalk(Talk):
    """A client of unmute's, whose conversations have one response each."""

    has_tools = False

    async def add(self, role: str, text: str) -> None:
        pass  # its responses can only be received

    async def add_result(self, call: str) -> None:
        raise NotImplementedError

    async def respond(self) -> Reply:
        visit = Unmute(self.client)
        try:
            ending = await visit.turn()
            return Reply(visit.text, error=ending.message)
        finally:
            await visit.leave()


def reply(output: Sequence[Any]) -> Reply:
    """Return what the items of a response hold."""
    text = "".join(part.get("text", "") for item in output for part in item.get("content", ()))
    return Reply(text, next((item["call_id"] for item in output if item["type"] == "function_call"), ""))


DOORS: tuple[type[Talk], ...] = (Chat, StreamedChat, Responses, Realtime, BetaRealtime, UnmuteTalk)
