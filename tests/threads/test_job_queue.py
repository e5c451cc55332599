"""Jobs that wait for a thread: how many threads there are for them, and their deadlines."""

from __future__ import annotations

import threading

import pytest

from charhost.errors import LoadTimeout
from charhost.threads import job_queue
from charhost.threads.worker_pool import WorkerPool
from tests.threads.helpers import LONG, SHORT, loop_for_ever


async def test_blocking_job_does_not_stop_the_others(pool: WorkerPool) -> None:
    """While one job blocks, another thread runs the others."""
    go = threading.Event()
    assert await pool.run_all([lambda: go.wait(60), go.set], LONG) == [True, None]


async def test_twenty_hanging_jobs_do_not_stop_a_good_one(pool: WorkerPool, release: threading.Event) -> None:
    """Twenty jobs that never finish do not stop another one (promise 12)."""
    answers = await pool.run_all([*[release.wait] * 20, lambda: "good"], SHORT)
    assert [type(answer) for answer in answers[:20]] == [LoadTimeout] * 20
    assert answers[20] == "good"


async def test_more_hanging_jobs_than_threads(
    pool: WorkerPool, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Abandoned threads do not count against the limit of threads."""
    monkeypatch.setattr(job_queue, "MOST_THREADS", 3)
    answers = await pool.run_all([*[release.wait] * 10, lambda: "good"], SHORT)
    assert answers[10] == "good"


async def test_twenty_loops_are_ended(pool: WorkerPool) -> None:
    """The threads of twenty endless loops end (promise 12)."""
    answers = await pool.run_all([*[loop_for_ever] * 20, lambda: "good"], SHORT)
    assert [type(answer) for answer in answers[:20]] == [LoadTimeout] * 20
    assert answers[20] == "good"


async def test_each_job_has_its_own_deadline(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job has a deadline of its own: many quick jobs may take longer together."""
    monkeypatch.setattr(job_queue, "MOST_THREADS", 1)
    pause = threading.Event()
    answers = await pool.run_all([lambda: pause.wait(0.05)] * 30, SHORT)
    assert answers == [False] * 30
