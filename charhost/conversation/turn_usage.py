import time
from collections.abc import Mapping, Sequence
from typing import Any

from charhost.conversation.history import History
from charhost.jsontext import encoded
from charhost.llm.model import Delta, Usage
from charhost.llm.token_estimate import LETTERS_PER_TOKEN, letters, tokens
from charhost.metrics import Metrics

_COUNTED = ("role", "content", "name", "tool_calls", "tool_call_id")


class TurnUsage:
    """Counts tokens, estimated if the model does not report them, and time; *front_door* is a label of the metrics."""

    def __init__(self, metrics: Metrics, history: History, front_door: str) -> None:
        self._metrics = metrics
        self._history = history
        self._front_door = front_door
        self._started = time.monotonic()
        self._has_output = False
        self._usage = Usage()
        self._sent = 0
        self._received = 0
        self._reported = True

    def start_round(self, sent: int) -> None:
        """Begin to count a request of so many letters."""
        self.total()  # adds the estimate of the round before
        self._sent = sent
        self._received = 0
        self._reported = False

    def count(self, deltas: Sequence[Delta]) -> None:
        if not self._has_output and any(delta.text or delta.calls for delta in deltas):
            self._has_output = True
            self._metrics.time_to_first_token.observe(time.monotonic() - self._started)
        self._received += letters("".join([delta.text for delta in deltas]))
        for delta in deltas:
            if delta.calls or delta.reasoning:
                self._received += letters(delta.reasoning) + sum(letters(call.arguments) for call in delta.calls)
            if delta.usage is not None:
                self._reported = True
                self._usage += delta.usage
                self._history.learn(self._sent, delta.usage.input_tokens)

    def total(self) -> Usage:
        if not self._reported:
            self._reported = True
            self._usage += Usage(self._sent // LETTERS_PER_TOKEN, tokens(self._received))
        return self._usage

    def record(self, outcome: str) -> None:
        usage, metrics = self.total(), self._metrics
        metrics.turns.labels(self._front_door, outcome).inc()
        metrics.turn_duration.observe(time.monotonic() - self._started)
        metrics.tokens.labels("input").inc(usage.input_tokens)
        metrics.tokens.labels("output").inc(usage.output_tokens)


def message_letters(message: Mapping[str, Any]) -> int:
    """Count the letters of a message in a request, as `letters` does."""
    content, calls = message["content"], message.get("tool_calls", ())
    if len(message) == 2 and isinstance(content, str):  # almost all of them
        return letters(content)
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    attached = sum(letters(encoded(value).decode()) for name, value in message.items() if name not in _COUNTED)
    return letters(content or "") + sum(letters(call["function"]["arguments"]) for call in calls) + attached
