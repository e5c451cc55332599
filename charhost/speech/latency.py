"""The time from the end of speech to the first sound of the answer, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Stage = Literal["turn", "transcript", "word", "sound", "total"]


class Latency:
    """Measures one answer: each stage from the end of the one before, and the total; times are in seconds."""

    def __init__(self, began: float, observe: Callable[[Stage, float], None]) -> None:
        self._began = self._before = began
        self._observe = observe
        self._reached: set[Stage] = set()

    def reach(self, stage: Stage, now: float) -> None:
        """Take note that a stage is over; only the first time counts."""
        if stage in self._reached:
            return
        self._reached.add(stage)
        self._observe(stage, now - self._before)
        self._before = now
        if stage == "sound":
            self._observe("total", now - self._began)
