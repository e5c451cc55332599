"""The figures of the last hour."""

from __future__ import annotations

from charhost.metrics import Metrics
from charhost.web.events.figures import FiguresOfLastHour


def test_rates_are_those_of_the_last_minute() -> None:
    """Responses and errors of models are counted over sixty seconds."""
    metrics = Metrics()
    figures = FiguresOfLastHour(metrics)
    metrics.turns.labels("chat", "completed").inc(5)
    figures.take()
    metrics.turns.labels("chat", "completed").inc(2)
    metrics.turns.labels("realtime", "failed").inc()
    metrics.upstream_errors.labels("timeout").inc(4)
    found = figures.take()
    assert (found.responses_per_minute, found.model_errors_per_minute) == (3, 4)
    for _ in range(60):
        found = figures.take()
    assert (found.responses_per_minute, found.model_errors_per_minute) == (0, 0)


def test_time_to_first_token_is_a_mean() -> None:
    """The mean is that of the last minute; without a response there is none."""
    metrics = Metrics()
    figures = FiguresOfLastHour(metrics)
    assert figures.take().time_to_first_token is None
    metrics.time_to_first_token.observe(0.5)
    metrics.time_to_first_token.observe(1.5)
    assert figures.take().time_to_first_token == 1.0


def test_memory_is_that_of_the_process() -> None:
    """A hundred megabytes more are seen."""
    figures = FiguresOfLastHour(Metrics())
    before = figures.take().memory_bytes
    block = bytearray(b"x" * (100 << 20))
    assert figures.take().memory_bytes - before > len(block) // 2
