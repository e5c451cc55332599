"""Counts of one turn, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charhost.character.instance import Persona
from charhost.conversation.history import History
from charhost.conversation.items import FunctionCall, Item, Message
from charhost.conversation.toolbox import Toolbox
from charhost.conversation.turn_events import TurnEnded
from charhost.llm.model import Delta, Model, ModelRequest, Usage
from charhost.metrics import Metrics
from charhost.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a client asks of one answer; `tools` and `options` as in a chat-completions request.

    With `items` the model is told of these instead of the conversation; what is not `recorded` leaves no trace in it.
    """

    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Item] | None = None
    recorded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a turn has to work with."""

    persona: Persona
    toolbox: Toolbox
    model: Model
    history: History
    settings: Settings
    metrics: Metrics
    front_door: str


class Tally:
    """Counts the tokens and the time of one turn."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._began = time.monotonic()
        self._spoke = False
        self._usage = Usage()
        self._asked = 0
        self._answered = 0
        self._known = True

    def ask(self, request: ModelRequest) -> None:
        """Begin a round."""
        self._estimate()
        self._asked = sum(map(_characters, request.messages)) + sum(len(str(tool)) for tool in request.tools)
        self._answered = 0
        self._known = False

    def count(self, delta: Delta) -> None:
        """Count a piece."""
        if not self._spoke and (delta.text or delta.calls):
            self._spoke = True
            self._stage.metrics.time_to_first_token.observe(time.monotonic() - self._began)
        self._answered += len(delta.text) + sum(len(call.arguments) for call in delta.calls)
        if delta.usage is not None:
            self._known = True
            self._usage += delta.usage
            self._stage.history.learn(self._asked, delta.usage.input_tokens)

    def completed(self, ending: TurnEnded, items: tuple[Message | FunctionCall, ...]) -> TurnEnded:
        """Add to the last event what was said and what it cost."""
        self._estimate()
        return TurnEnded(ending.outcome, items, self._usage, ending.reason, ending.failure)

    def record(self, outcome: str) -> None:
        """Show it in the metrics."""
        self._estimate()
        metrics = self._stage.metrics
        metrics.turns.labels(self._stage.front_door, outcome).inc()
        metrics.turn_duration.observe(time.monotonic() - self._began)
        metrics.tokens.labels("input").inc(self._usage.input_tokens)
        metrics.tokens.labels("output").inc(self._usage.output_tokens)

    def _estimate(self) -> None:
        if not self._known:
            self._known = True
            self._usage += Usage(self._asked // 4, -(-self._answered // 4))


def _characters(message: Mapping[str, Any]) -> int:
    """Count what is text in a message."""
    content, calls = message["content"], message.get("tool_calls", ())
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    return len(content or "") + sum(len(call["function"]["arguments"]) for call in calls)
