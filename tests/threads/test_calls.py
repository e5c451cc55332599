"""Calls that share threads, and are each waited for alone."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from charhost.errors import LoadTimeout
from charhost.threads.worker_pool import WorkerPool
from tests.counting import count_calls

LONG = 60.0


async def test_calls_that_come_together_share_a_thread() -> None:
    """A hundred quick calls of one owner, made in the same instant, run on a few threads."""
    pool = WorkerPool()
    found = await asyncio.gather(*(pool.run(threading.get_ident, LONG, "one") for _ in range(100)))
    assert len(set(found)) <= 4


async def test_calls_that_come_together_seldom_wake_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred quick calls, made in the same instant, are handed over together, and so are their results."""
    pool = WorkerPool()
    await pool.run(int, LONG, "one")  # a thread is warm now
    wakes = count_calls(monkeypatch, asyncio.get_running_loop(), "call_soon_threadsafe")
    await asyncio.gather(*(pool.run(threading.get_ident, LONG, "one") for _ in range(100)))
    assert wakes.number < 30  # one, where no thread has to wait for the processor


async def test_calls_that_wait_for_many_others_get_more_threads() -> None:
    """Quick calls that block, one after the other, do not all wait for one thread."""
    pool = WorkerPool()

    def call() -> int:
        time.sleep(0.004)
        return threading.get_ident()

    found = await asyncio.gather(*(pool.run(call, LONG, "one") for _ in range(80)))
    assert len(set(found)) > 2


async def test_a_call_ends_for_itself() -> None:
    """A quick call does not wait for the end of a slow one that was made with it."""
    pool, release = WorkerPool(), threading.Event()
    slow = asyncio.create_task(pool.run(release.wait, LONG, "one"))
    quick = asyncio.create_task(pool.run(lambda: "quick", LONG, "one"))
    assert await quick == "quick"
    assert not slow.done()
    release.set()
    assert await slow


async def test_a_cancelled_call_takes_no_other_with_it() -> None:
    """The call of a client that leaves is given up; those that wait behind it, and later ones, run."""
    pool, begun, release = WorkerPool(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        release.wait()

    left = asyncio.create_task(pool.run(wait, LONG, "one"))
    waiting = asyncio.create_task(pool.run(lambda: "waits", LONG, "one"))
    await asyncio.to_thread(begun.wait)
    left.cancel()
    assert await waiting == "waits"
    assert await pool.run(lambda: "later", LONG, "one") == "later"
    release.set()


async def test_a_call_past_its_deadline_takes_no_other_with_it() -> None:
    """The deadline of a call begins when it runs, and its end is that of this call alone."""
    pool, release = WorkerPool(), threading.Event()
    late = asyncio.create_task(pool.run(release.wait, 0.5, "one"))
    others = [asyncio.create_task(pool.run(lambda: "good", 0.5, "one")) for _ in range(10)]
    assert await asyncio.gather(*others) == ["good"] * 10
    with pytest.raises(LoadTimeout):
        await late
    release.set()
