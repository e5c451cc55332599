"""The usage of a turn."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.conversation.history import History
from charhost.conversation.turn_usage import TurnUsage, message_letters
from charhost.llm.model import Delta, Usage
from charhost.metrics import Metrics
from tests.scripted import call


def usage_of(*rounds: list[Delta]) -> Usage:
    """Return the usage of a turn with these rounds, for each of which 400 letters are sent."""
    usage = TurnUsage(Metrics(), History(), "test")
    for deltas in rounds:
        usage.start_round(400)
        usage.count(deltas)
    return usage.total()


def test_reported_usage_counts() -> None:
    """The usage of the model is taken as it is, that of all rounds together."""
    reported = Delta("Hi", usage=Usage(7, 2, 1))
    assert usage_of([reported], [reported]) == Usage(14, 4, 2)


def test_missing_usage_is_estimated() -> None:
    """A round without usage counts by its letters: text, thinking and the arguments of calls."""
    assert usage_of([Delta("12345678", reasoning="1234"), call("roll", "{  }")]) == Usage(100, 4)


def test_each_round_is_estimated_by_itself() -> None:
    """A round that is reported takes nothing from one that is not."""
    assert usage_of([Delta("1234")], [Delta("Hi", usage=Usage(7, 2))]) == Usage(107, 3)


def test_record_counts_by_front_door() -> None:
    """The end of a turn is counted with its front door and its outcome, and its tokens once."""
    metrics = Metrics()
    usage = TurnUsage(metrics, History(), "realtime")
    usage.start_round(0)
    usage.count([Delta("Hi", usage=Usage(7, 2))])
    usage.record("completed")
    sample = metrics.registry.get_sample_value
    assert sample("charhost_turns_total", {"front_door": "realtime", "outcome": "completed"}) == 1
    assert sample("charhost_tokens_total", {"kind": "input"}) == 7
    assert sample("charhost_tokens_total", {"kind": "output"}) == 2


@pytest.mark.parametrize(
    ("message", "letters"),
    [
        ({"role": "user", "content": "four"}, 4),
        ({"role": "user", "content": None}, 0),
        ({"role": "user", "content": [{"type": "text", "text": "four"}, {"type": "image_url"}]}, 4),
        ({"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "{}"}}]}, 2),
        ({"role": "assistant", "content": "", "reasoning": "abc"}, len('"abc"')),
    ],
)
def test_letters_of_a_message(message: dict[str, Any], letters: int) -> None:
    """Text, arguments and the attachments of a server count; images and ids do not."""
    assert message_letters(message) == letters
