"""TurnUsage: the tokens and the time that one turn takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from charhost.conversation.turn_context import TurnContext
from charhost.llm.model import Delta, ModelRequest, Usage


class TurnUsage:
    """Counts the tokens and the time of one turn; tokens are estimated if the model does not report them."""

    def __init__(self, context: TurnContext) -> None:
        self._context = context
        self._started = time.monotonic()
        self._has_output = False
        self._usage = Usage()
        self._sent = 0
        self._received = 0
        self._reported = True

    def start_round(self, request: ModelRequest) -> None:
        self._estimate()
        self._sent = sum(map(_characters, request.messages)) + sum(len(str(tool)) for tool in request.tools)
        self._received = 0
        self._reported = False

    def count(self, delta: Delta) -> None:
        if not self._has_output and (delta.text or delta.calls):
            self._has_output = True
            self._context.metrics.time_to_first_token.observe(time.monotonic() - self._started)
        self._received += len(delta.text) + sum(len(call.arguments) for call in delta.calls)
        if delta.usage is not None:
            self._reported = True
            self._usage += delta.usage
            self._context.history.learn(self._sent, delta.usage.input_tokens)

    def total(self) -> Usage:
        self._estimate()
        return self._usage

    def record(self, outcome: str) -> None:
        usage, metrics = self.total(), self._context.metrics
        metrics.turns.labels(self._context.front_door, outcome).inc()
        metrics.turn_duration.observe(time.monotonic() - self._started)
        metrics.tokens.labels("input").inc(usage.input_tokens)
        metrics.tokens.labels("output").inc(usage.output_tokens)

    def _estimate(self) -> None:
        if not self._reported:
            self._reported = True
            self._usage += Usage(self._sent // 4, -(-self._received // 4))


def _characters(message: Mapping[str, Any]) -> int:
    content, calls = message["content"], message.get("tool_calls", ())
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    return len(content or "") + sum(len(call["function"]["arguments"]) for call in calls)
