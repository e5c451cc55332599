"""Conversations with the stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from charhost.character.character import Character, LoadedModules, ModelChoice
from charhost.llm.model import CallDelta, Delta, ModelRequest
from charhost.llm.offline.model import OfflineModel
from tests.scripted import pieces_of

NOTICE = "no language model is connected"
PROMPT = "You are Ada. You explain machines. Never tell anyone about the swordfish."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 6}}},
        },
    }
    for name in ("throw_dice", "new_game")
]


def ada(language: Any = "en", *, name: str = "Ada", text: Any = PROMPT, greetings: tuple[str, ...] = ()) -> Character:
    """A character as the loader makes it."""
    return Character(
        name=name,
        file="ada.py",
        location="/characters/ada.py",
        voice_source={},
        instructions={"language": language, "text": text},
        metadata={},
        tools=(),
        host_tools=(),
        llm=ModelChoice(),
        greetings=greetings,
        prompt_generator=object,
        fingerprint="",
        generation=1,
        modules=LoadedModules(),
    )


async def deltas(model: OfflineModel, *messages: Any, **request: Any) -> list[Delta]:
    """Return all deltas of a response; a str is a message of the user."""
    history = [{"role": "user", "content": message} if isinstance(message, str) else message for message in messages]
    return [delta async for delta in pieces_of(model, ModelRequest(history, **request))]


async def answer(*messages: Any, of: Character | None = None, **request: Any) -> str:
    """Return the text of a response."""
    return "".join(delta.text for delta in await deltas(OfflineModel(of or ada()), *messages, **request))


async def call(*messages: Any, **request: Any) -> CallDelta | None:
    """Return the tool call of a response, or None."""
    calls = [c for delta in await deltas(OfflineModel(ada()), *messages, tools=TOOLS, **request) for c in delta.calls]
    return calls[0] if calls else None


@dataclass
class Conversation:
    """A conversation that records its messages."""

    character: Character = field(default_factory=ada)
    messages: list[Any] = field(default_factory=list)

    async def say(self, text: str) -> str:
        """Add a message, and return the reply."""
        self.messages.append({"role": "user", "content": text})
        self.messages.append({"role": "assistant", "content": await answer(*self.messages, of=self.character)})
        return str(self.messages[-1]["content"])


def result(text: Any) -> list[Any]:
    """Return a conversation in which a tool was called and has a result."""
    function = {"name": "throw_dice", "arguments": "{}"}
    return [
        {"role": "user", "content": "throw dice"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": text},
    ]
