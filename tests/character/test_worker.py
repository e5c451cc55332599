"""The worker that runs the jobs of a batch on one thread."""

from __future__ import annotations

import decimal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from charhost.character.worker import Job, Worker
from charhost.errors import LoadTimeout


class Batch:
    """Hands out its jobs in their order, and keeps what they return or raise."""

    def __init__(self, *jobs: Job) -> None:
        self.outcomes: list[Any] = []
        self._jobs = list(enumerate(jobs))

    def take(self, worker: Worker) -> tuple[int, Job] | None:
        return self._jobs.pop(0) if self._jobs else None

    def finish(self, worker: Worker, index: int, outcome: Any) -> None:
        self.outcomes.append(outcome)


def raising(error: BaseException) -> Job:
    def job() -> None:
        raise error

    return job


def worker_of(batch: Batch, interrupt: bool = True) -> Worker:
    return Worker(batch, 60, interrupt)


def test_jobs_run_one_after_the_other() -> None:
    """All jobs of a batch are run, and the thread can be used again."""
    batch = Batch(lambda: "a", lambda: "b")
    worker = worker_of(batch)
    assert worker.run()
    assert batch.outcomes == ["a", "b"]
    assert not worker.is_alive()


def test_jobs_share_no_context() -> None:
    """What a job sets in its context, such as the precision of decimal numbers, is unknown to the next one."""

    def job() -> int:
        before, decimal.getcontext().prec = decimal.getcontext().prec, 5
        return before

    batch = Batch(job, job)
    worker_of(batch).run()
    assert batch.outcomes == [28, 28]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt()])
def test_error_is_the_outcome(error: BaseException) -> None:
    """What a job raises is its outcome, whatever it is, and the next job runs."""
    batch = Batch(raising(error), lambda: "next")
    assert worker_of(batch).run()
    assert batch.outcomes == [error, "next"]


def test_job_that_is_given_up_delivers_nothing() -> None:
    """A job over its deadline has no outcome, none follows it, and its thread is not used again."""
    batch = Batch(lambda: worker.abandon_if_running(0), lambda: "next")
    worker = worker_of(batch)
    assert not worker.run()
    assert (worker.abandoned, batch.outcomes) == (True, [])


def test_job_within_its_time_is_not_given_up() -> None:
    """A job that has not lasted as long goes on, and there is nothing to give up between jobs."""
    batch = Batch(lambda: worker.abandon_if_running(60))
    worker = worker_of(batch)
    assert worker.run()
    assert batch.outcomes == [None]
    assert worker.abandon_if_running(0) is None


def endless() -> None:
    while True:
        pass


@pytest.mark.parametrize(("interrupt", "outcomes"), [(True, [LoadTimeout]), (False, [str])])
def test_injection_ends_a_job(interrupt: bool, outcomes: list[type]) -> None:
    """`LoadTimeout` is raised in a job that may be interrupted, and in no other."""
    begun = threading.Event()

    def job() -> str:
        begun.set()
        if interrupt:
            endless()
        return "done"

    batch = Batch(job)
    worker = worker_of(batch, interrupt)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert begun.wait(60)
    worker.inject()
    thread.join(60)
    assert [type(outcome) for outcome in batch.outcomes] == outcomes


def test_places_are_of_the_thread() -> None:
    """The places of a running job begin where it is; a worker that has not begun has none."""
    batch = Batch(lambda: worker.places())
    worker = worker_of(batch)
    assert worker.places() == ()
    worker.run()
    assert __file__ in {file for file, _ in batch.outcomes[0]}


@pytest.mark.parametrize(("get", "install"), [(sys.gettrace, sys.settrace), (sys.getprofile, sys.setprofile)])
def test_tracer_of_a_job_goes_with_it(get: Callable[[], Any], install: Callable[[Any], None]) -> None:
    """A tracer or profiler that a job leaves is taken off before the next job."""
    before = get()
    batch = Batch(lambda: install(lambda *_: None), get)
    worker_of(batch).run()
    assert batch.outcomes == [None, before]
