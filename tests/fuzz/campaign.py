"""A campaign: random inputs for one function, until a time is over.

`FUZZ_SECONDS` sets the time of the longest campaigns, in seconds; a minute is the default.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
# Processor time of the thread for one input, as the event loop would stand still so long.
LONGEST_GAP = 0.2
# Objects that the collector knows; what is remembered of texts, such as compiled patterns, is among them.
MOST_GROWTH = 20_000


def run(inputs: SearchStrategy[bytes], check: Callable[[bytes], None], seconds: float = SECONDS) -> int:
    """Check random inputs, and that neither one of them takes long nor all of them leave anything behind."""
    count = 0

    # Not made smaller, which takes minutes for long inputs.
    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs.map(_Input))
    def batch(data: bytes) -> None:
        nonlocal count
        count += 1
        check_cost(check, data)

    for _ in range(3):  # what is made once is made now
        batch()
    before = _objects()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        batch()
    assert _objects() - before < MOST_GROWTH
    return count


def check_cost(check: Callable[[bytes], None], data: bytes) -> None:
    """Check one input; a long time must be long again, because a collection may fall into the first one."""
    if _cost(check, data) > LONGEST_GAP:
        assert min(_cost(check, data) for _ in range(3)) <= LONGEST_GAP, f"{len(data):,} bytes take too long"


class _Input(bytes):
    def __repr__(self) -> str:
        return f"{len(self):,} bytes: {self[:300]!r}"


def _cost(check: Callable[[bytes], None], data: bytes) -> float:
    started = time.thread_time()
    check(data)
    return time.thread_time() - started


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())
