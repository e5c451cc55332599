"""The time from the end of speech to the first sound of the answer."""

from __future__ import annotations

from charhost.speech.latency import Latency, Stage


def test_each_stage_counts_once() -> None:
    """A stage is measured from the one before it, and the total to the first sound."""
    seen: list[tuple[str, float]] = []
    latency = Latency(10.0, lambda stage, seconds: seen.append((stage, seconds)))
    stages: list[tuple[Stage, float]] = [("turn", 11), ("word", 13), ("word", 14), ("sound", 17), ("sound", 18)]
    for stage, now in stages:
        latency.reach(stage, now)
    assert seen == [("turn", 1.0), ("word", 2.0), ("sound", 4.0), ("total", 7.0)]
