"""A scripted model, and the parts of a conversation with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from charhost.character.character import Character, LoadedModules, ModelChoice
from charhost.conversation.conversation import Conversation, Conversations
from charhost.conversation.items import FunctionCall, Item, Message, Role, Text
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import TextDelta, TurnEnded, TurnEvent
from charhost.llm.model import CallDelta, Delta, FinishReason, Model, ModelRequest, Usage
from charhost.metrics import Metrics
from charhost.settings import Settings
from charhost.threads.worker_pool import WorkerPool

Step = str | Delta | BaseException | asyncio.Event | list[str]
Tool = Mapping[str, Any]

LIMIT = 180.0  # seconds that nothing here should ever take


class ScriptedModel:
    """Runs the first script for the first request and so on, and the last one for all others; also its own `Models`.

    A step of a script is words, a piece, something to raise, an event to wait for, or words that arrive together.
    """

    length: int | None = None
    endpoint = "scripted"

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self.requests: list[ModelRequest] = []
        self.pausing = asyncio.Event()
        self.ended = 0
        self._scripts = scripts or (["Hi."],)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the last request."""
        return [dict(message) for message in self.requests[-1].messages]

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        script = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
        self.requests.append(request)
        try:
            for step in script:
                if isinstance(step, asyncio.Event):
                    self.pausing.set()
                    await step.wait()
                elif isinstance(step, BaseException):
                    raise step
                elif isinstance(step, list):
                    yield [*map(Delta, step)]
                else:
                    yield [Delta(step) if isinstance(step, str) else step]
        finally:
            self.ended += 1

    async def context_length(self) -> int | None:
        return self.length

    def of(self, character: Character) -> ScriptedModel:
        return self

    async def state(self) -> Literal["offline", "up", "down"]:
        return "up"

    async def close(self) -> None:
        pass


class Kind:
    """A `PromptGenerator` without side effects."""

    def __init__(self, instructions: dict[str, Any]) -> None:
        self.instructions = instructions

    def make_system_prompt(self) -> str:
        return "Be kind."

    def handle_tool_call(self, tool_name: str, tool_input: dict[str, Any]) -> str:
        return f"{tool_name} did {sorted(tool_input.items())}"


def make_character(
    generator: type[Any] = Kind,
    *,
    name: str = "Ada",
    tools: Sequence[Tool] = (),
    host_tools: Sequence[str] = (),
    greetings: Sequence[str] = (),
    modules: LoadedModules | None = None,
) -> Character:
    """Return a character whose file is the test's own."""
    location = str(sys.modules[generator.__module__].__file__)
    return Character(
        name=name,
        file=location.rpartition("/")[2],
        location=location,
        voice_source={},
        instructions={"text": "Be kind."},
        metadata={},
        tools=tuple(tools),
        host_tools=tuple(host_tools),
        llm=ModelChoice(),
        greetings=tuple(greetings),
        prompt_generator=generator,
        fingerprint="sha256:1",
        generation=1,
        modules=modules or LoadedModules(),
    )


def make_conversations(model: ScriptedModel | None = None, **settings: Any) -> Conversations:
    """Return the shared parts of conversations."""
    return Conversations(Settings(**settings), Metrics(), model or ScriptedModel(), WorkerPool())


def make_conversation(
    model: ScriptedModel | None = None, character: Character | None = None, *earlier: Item, **settings: Any
) -> Conversation:
    """Return a conversation with these items, by default the user's "Hello?"."""
    conversation = make_conversations(model, **settings).open(character or make_character(), "test")
    for item in earlier or (message("Hello?"),):
        conversation.history.append(item)
    return conversation


def message(text: str, role: Role = "user") -> Message:
    """Return a message with a text."""
    return Message(role=role, parts=(Text(text),))


def tool(name: str, **properties: Any) -> Tool:
    """Return the definition of a tool with required properties."""
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def call(name: str, arguments: str = "{}", call_id: str = "call_1", index: int = 0) -> Delta:
    """Return a whole tool call in one delta."""
    return Delta(calls=(CallDelta(index, call_id, name, arguments),))


def end(finish: FinishReason = "stop", usage: Usage | None = None) -> Delta:
    """Return the last delta of a response."""
    return Delta(finish=finish, usage=usage)


async def pieces_of(model: Model, request: ModelRequest) -> AsyncGenerator[Delta, None]:
    """Yield a model's response piece by piece."""
    async with aclosing(model.stream(request)) as response:
        async for pieces in response:
            for piece in pieces:
                yield piece


async def events_of(turn: Turn) -> list[TurnEvent]:
    """Read a turn to its end."""
    async with asyncio.timeout(LIMIT), aclosing(turn.events()) as events:
        return [event async for event in events]


async def end_of(turn: Turn) -> TurnEnded:
    """Read a turn, for its last event."""
    last = (await events_of(turn))[-1]
    assert isinstance(last, TurnEnded)
    return last


def words(events: Sequence[TurnEvent]) -> str:
    """Return the text of a turn."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(ended: TurnEnded) -> list[tuple[str, str]]:
    """Return the calls that clients see."""
    return [(item.name, item.arguments) for item in ended.items if isinstance(item, FunctionCall)]


def sample(conversation: Conversation, metric: str, **labels: str) -> float:
    """Return the value of a metric of the conversation."""
    return conversation.shared.metrics.registry.get_sample_value(f"charhost_{metric}", labels) or 0.0
