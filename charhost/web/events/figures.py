"""Figures: the load of the server over the last hour."""

import asyncio
import resource
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from prometheus_client.registry import Collector
from pydantic import BaseModel, Field

from charhost.metrics import Metrics

_INTERVAL = 1.0
_KEPT_EVERY = 10
_KEPT = 3600 // _KEPT_EVERY
_WINDOW = 60


class Figures(BaseModel, frozen=True):
    """The load of the server at one moment; the rates are those of the last minute."""

    time: float = Field(description="A Unix time.")
    sessions: int = Field(description="Open WebSocket sessions.")
    builds_alive: int = Field(description="Loaded sets whose modules are still referenced.")
    responses_per_minute: int
    time_to_first_token: float | None = Field(description="Its mean in seconds; null if there was no response.")
    model_errors_per_minute: int
    memory_bytes: int = Field(description="Resident memory of the server.")


class _Counts(NamedTuple):
    responses: int
    first_tokens: int
    first_token_seconds: float
    model_errors: int


class FiguresOfLastHour:
    """Takes the figures every second, and keeps those of every tenth for an hour."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counts: deque[_Counts] = deque(maxlen=_WINDOW)
        self.kept: deque[Figures] = deque(maxlen=_KEPT)

    async def run(self, show: Callable[[Figures], None]) -> None:
        """Take figures until cancelled, and *show* each."""
        number = 0
        while True:
            figures = self.take()
            if number % _KEPT_EVERY == 0:
                self.kept.append(figures)
            show(figures)
            number += 1
            await asyncio.sleep(_INTERVAL)

    def take(self) -> Figures:
        metrics = self._metrics
        counts = _Counts(
            responses=round(_sum(metrics.turns, "_total")),
            first_tokens=round(_sum(metrics.time_to_first_token, "_count")),
            first_token_seconds=_sum(metrics.time_to_first_token, "_sum"),
            model_errors=round(_sum(metrics.upstream_errors, "_total")),
        )
        self._counts.append(counts)
        before = self._counts[0]
        first_tokens = counts.first_tokens - before.first_tokens
        seconds = counts.first_token_seconds - before.first_token_seconds
        return Figures(
            time=time.time(),
            sessions=round(_sum(metrics.sessions_active, "")),
            builds_alive=round(_sum(metrics.builds_alive, "")),
            responses_per_minute=counts.responses - before.responses,
            time_to_first_token=seconds / first_tokens if first_tokens else None,
            model_errors_per_minute=counts.model_errors - before.model_errors,
            memory_bytes=_resident(),
        )


def _sum(metric: Collector, suffix: str) -> float:
    """Return the sum of a metric's samples over its labels."""
    (family,) = list(metric.collect())
    return sum(sample.value for sample in family.samples if sample.name == family.name + suffix)


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # no /proc: the most so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
