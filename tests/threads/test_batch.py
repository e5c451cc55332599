"""Jobs that are waited for together."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from charhost.threads.worker_pool import WorkerPool
from tests.threads.helpers import LONG, raising


async def test_results_are_in_the_order_of_the_jobs(pool: WorkerPool) -> None:
    """The results are in the order of the jobs."""
    assert await pool.run_all([partial(int, n) for n in range(500)], LONG) == list(range(500))


async def test_jobs_run_one_after_the_other(pool: WorkerPool) -> None:
    """Jobs that do not block run in order."""
    seen: list[int] = []
    await pool.run_all([partial(seen.append, n) for n in range(100)], LONG)
    assert seen == list(range(100))


async def test_no_jobs(pool: WorkerPool) -> None:
    """No jobs have no results."""
    assert await pool.run_all([], LONG) == []


@pytest.mark.parametrize(
    "error",
    [ValueError(), SystemExit(3), KeyboardInterrupt(), StopIteration(5), GeneratorExit(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
async def test_error_is_the_result_of_its_job(pool: WorkerPool, error: BaseException) -> None:
    """Any exception of one job is its result, and affects no other job."""
    assert await pool.run_all([lambda: 1, raising(error), lambda: 3], LONG) == [1, error, 3]
