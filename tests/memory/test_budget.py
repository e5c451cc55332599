"""The budget: what fits, what is given up for it, and what is counted."""

from __future__ import annotations

import threading
import weakref

from charhost.memory.budget import MemoryBudget
from charhost.metrics import Metrics


class Kept:
    """A reserve whose things take ten bytes each, and are kept since the times in *since*."""

    def __init__(self, kind: str, budget: MemoryBudget, *since: float) -> None:
        self.kind = kind
        self.since = list(since)
        self._memory = budget.holding(kind)
        self._memory.resize(10 * len(since))
        budget.add_reserve(self)

    @property
    def oldest(self) -> float | None:
        return self.since[0] if self.since else None

    def give_up(self) -> None:
        self.since.pop(0)
        self._memory.resize(self._memory.size - 10)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return the value of a metric of memory."""
    return metrics.registry.get_sample_value(f"charhost_memory_{name}", labels)


def test_what_does_not_fit_is_refused() -> None:
    """Beyond the size nothing is taken, until something is given back."""
    metrics = Metrics()
    budget = MemoryBudget(100, metrics)
    with budget.holding("requests") as first:
        assert first.take(60)
        with budget.holding("requests") as second:
            assert [second.take(41), second.take(40)] == [False, True]
        assert (value(metrics, "held_bytes", kind="requests"), value(metrics, "budget_bytes")) == (60, 100)
    assert (budget.in_use, value(metrics, "held_bytes", kind="requests")) == (0, 0)
    assert value(metrics, "refused_total", kind="requests") == 1


def test_the_oldest_goes_first() -> None:
    """For what does not fit the oldest things are given up, whichever reserve has them, and no more than needed."""
    metrics = Metrics()
    budget = MemoryBudget(60, metrics)
    sessions, responses = Kept("disconnected", budget, 1, 4, 5), Kept("responses", budget, 2, 3)
    assert budget.holding("requests").take(40)
    assert (sessions.since, responses.since) == ([4, 5], [])
    given_up = [value(metrics, "given_up_total", kind=kind) for kind in ("disconnected", "responses")]
    assert given_up == [1, 2]


def test_nothing_is_given_up_for_what_can_never_fit() -> None:
    """A request that is larger than the budget costs nobody a session."""
    budget = MemoryBudget(60)
    sessions = Kept("disconnected", budget, 1, 2)
    assert not budget.holding("requests").take(61)
    assert sessions.since == [1, 2]


def test_what_has_happened_is_held_all_the_same() -> None:
    """The words of a model may go beyond the size; then nothing else fits."""
    budget = MemoryBudget(60)
    sessions = Kept("disconnected", budget, 1, 2)
    budget.holding("sessions").resize(70)
    assert (budget.in_use, sessions.since) == (70, [])
    assert not budget.holding("requests").take(1)


class Thing:
    """A thing that is counted as long as it exists."""


def test_a_finalizer_on_a_thread_changes_nothing_by_itself() -> None:
    """What it gives back is taken off by the thread that looks at the budget next, amid whose work it may run."""
    budget = MemoryBudget()
    things, thing = budget.holding("responses"), Thing()
    things.resize(40)
    weakref.finalize(thing, things.free, 30).atexit = False
    kept = [thing]
    del thing
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert things.size == 40
    assert (budget.in_use, budget.held["responses"], things.size) == (10, 10, 10)


def test_room_that_finalizers_made_is_used() -> None:
    """What was freed counts before anything is refused or given up."""
    budget = MemoryBudget(60)
    things, sessions = budget.holding("responses"), Kept("disconnected", budget, 1)
    things.resize(40)
    things.free(40)
    assert budget.holding("requests").take(50)
    assert sessions.since == [1]
