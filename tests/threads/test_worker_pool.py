"""The code of characters runs on threads, under deadlines."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType

import pytest

from charhost.errors import LoadTimeout, ThreadsExhausted
from charhost.threads import worker
from charhost.threads.worker_pool import WorkerPool
from tests.threads.helpers import LONG, SHORT, ended, loop_and_swallow, loop_for_ever, raising, threads

# One job


async def test_result_of_a_job(pool: WorkerPool) -> None:
    """The value of a job is returned."""
    assert await pool.run(lambda: 42, LONG) == 42


async def test_error_of_a_job(pool: WorkerPool) -> None:
    """The exception of a job is raised."""
    with pytest.raises(KeyError, match="arr"):
        await pool.run(raising(KeyError("arr")), LONG)


async def test_jobs_run_on_daemon_threads(pool: WorkerPool, release: threading.Event) -> None:
    """All threads are daemons, so none delays the end of the process."""
    assert await pool.run(lambda: threading.current_thread().daemon, LONG)
    with pytest.raises(LoadTimeout):
        await pool.run(release.wait, SHORT)
    assert {thread.name for thread in threads()} == {"charhost-loader", "charhost-reaper"}
    assert all(thread.daemon for thread in threads())
    release.set()


async def test_event_loop_runs_meanwhile(pool: WorkerPool) -> None:
    """A job does not block the event loop."""
    go = threading.Event()
    asyncio.get_running_loop().call_later(0.01, go.set)
    assert await pool.run(lambda: go.wait(60), LONG)


# Several jobs


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
async def test_a_tracer_does_not_outlive_its_job(
    pool: WorkerPool, install: Callable[[Callable[..., None]], None]
) -> None:
    """A tracer or profiler that a job installs and that fails costs no other job, nor sees one."""

    def fail(frame: FrameType, *_: object) -> None:
        if frame.f_code.co_filename == worker.__file__:
            raise ValueError("traced")

    async with asyncio.timeout(LONG):
        _, *others = await pool.run_all([partial(install, fail), sys.gettrace, sys.getprofile, partial(int, 3)], LONG)
    assert others == [sys.gettrace(), sys.getprofile(), 3]


async def test_threads_take_tracers_off_side_by_side(pool: WorkerPool) -> None:
    """Jobs that end while a tracer is installed on another thread have their results, too."""
    slowly = threading.Event()

    def hook(event: str, _: object) -> None:
        if event == "sys.settrace" and slowly.is_set():
            time.sleep(0.001)  # another thread goes on

    def job(number: int) -> int:
        if number % 2:
            with suppress(RuntimeError):
                sys.settrace(lambda *_: None)
        return number

    sys.addaudithook(hook)
    slowly.set()
    try:
        async with asyncio.timeout(LONG):
            results = await asyncio.gather(*(pool.run(partial(job, n), LONG, f"owner {n % 32}") for n in range(200)))
    finally:
        slowly.clear()
    assert results == list(range(200))


# Deadlines


@pytest.mark.parametrize("job", [loop_for_ever, loop_and_swallow])
async def test_endless_loop_is_ended(pool: WorkerPool, job: Callable[[], None]) -> None:
    """A Python loop over its deadline is a LoadTimeout, and its thread ends afterwards (promise 12)."""
    with pytest.raises(LoadTimeout, match=r"^not finished after 1 s$"):
        await pool.run(job, SHORT)
    assert ended(*threads())
    assert pool.stuck == 0


async def test_timeout_has_its_places(pool: WorkerPool) -> None:
    """A LoadTimeout has the files and lines that the thread was in, innermost first."""
    with pytest.raises(LoadTimeout) as caught:
        await pool.run(lambda: loop_for_ever(), SHORT)
    assert caught.value.places[0][0] == loop_for_ever.__code__.co_filename
    lines = range(loop_for_ever.__code__.co_firstlineno, loop_for_ever.__code__.co_firstlineno + 3)
    assert caught.value.places[0][1] in lines


async def test_blocked_thread_is_counted(pool: WorkerPool, release: threading.Event) -> None:
    """A thread that blocks outside Python code is abandoned, and counted until it ends (promise 12)."""
    with pytest.raises(LoadTimeout):
        await pool.run(release.wait, SHORT)
    assert pool.stuck == 1
    release.set()
    assert ended(*threads())
    assert pool.stuck == 0


async def test_blocked_thread_blocks_no_other_job(pool: WorkerPool, release: threading.Event) -> None:
    """Jobs after a blocked one run, and so do later ones."""
    first, second = await pool.run_all([release.wait, lambda: 2], SHORT)
    assert (type(first), second) == (LoadTimeout, 2)
    assert await pool.run(lambda: 3, LONG) == 3


async def test_blocked_thread_is_ended_when_it_runs_on(pool: WorkerPool, release: threading.Event) -> None:
    """An abandoned thread is ended when its blocking call returns."""
    reached = []

    def job() -> None:
        release.wait()
        loop_for_ever()
        reached.append(True)

    with pytest.raises(LoadTimeout):
        await pool.run(job, SHORT)
    release.set()
    assert ended(*threads())
    assert reached == []


async def test_late_result_is_dropped(pool: WorkerPool, release: threading.Event) -> None:
    """A result after the deadline is dropped."""
    (answer,) = await pool.run_all([release.wait], SHORT)
    release.set()
    assert ended(*threads())
    assert isinstance(answer, LoadTimeout)


# Cancellation


async def test_cancelled_run_ends_its_threads(pool: WorkerPool) -> None:
    """A cancelled run leaves no loop behind."""
    begun = threading.Event()

    def job() -> None:
        begun.set()
        loop_for_ever()

    run = asyncio.create_task(pool.run_all([job], LONG))
    await asyncio.to_thread(begun.wait, 60)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert ended(*threads())


async def test_cancelled_run_begins_no_more_jobs(pool: WorkerPool, release: threading.Event) -> None:
    """Jobs that had not begun when the run was cancelled never begin."""
    begun, never = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        release.wait()

    run = asyncio.create_task(pool.run_all([first, *[release.wait] * 40, never.set], LONG))
    await asyncio.to_thread(begun.wait, 60)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    release.set()
    assert ended(*threads())
    assert not never.is_set()


async def test_threads_end_with_their_jobs(pool: WorkerPool) -> None:
    """Threads end when no job is left."""
    await pool.run_all([lambda: None] * 10, LONG)
    assert ended(*threads())
    assert threads() == []


async def test_finalizers_of_a_late_job_are_not_interrupted(pool: WorkerPool) -> None:
    """What a late job has left is dropped without an injection: a finalizer runs to its end."""
    done = threading.Event()

    class Left:
        def __del__(self) -> None:
            for _ in range(20):
                time.sleep(0.01)
            done.set()

    def late() -> Left:
        with suppress(LoadTimeout):
            loop_for_ever()
        return Left()

    with pytest.raises(LoadTimeout):
        await pool.run(late, SHORT)
    assert ended(*threads())
    assert done.is_set()


# Threads that stay stuck


async def test_owner_has_a_few_threads(pool: WorkerPool, release: threading.Event) -> None:
    """Of forty jobs of one owner that block, eight are ever begun; the others are refused with the reason."""
    begun: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        release.wait()

    runs = [pool.run(partial(job, number), SHORT, "ada") for number in range(40)]
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ThreadsExhausted)]
    assert (len(begun), pool.stuck, len(refused)) == (8, 8, 32)
    assert str(refused[0]).startswith("not run: 8 earlier calls have not ended since their deadlines")
    assert __file__ in {file for file, _ in refused[0].places}


async def test_an_owner_at_its_limit_needs_no_more_threads(pool: WorkerPool, release: threading.Event) -> None:
    """While eight jobs of an owner run, one more thread is of use to other owners only."""
    batch = asyncio.create_task(pool.run_all([release.wait] * 20, LONG, ["ada"] * 20))
    async with asyncio.timeout(LONG):
        while pool.has_room("ada"):
            await asyncio.sleep(0.01)
    assert (len(threads()), pool.has_room("bob")) == (8, True)
    release.set()
    assert await batch == [True] * 20


async def test_exhausted_owner_is_refused_at_once(pool: WorkerPool, release: threading.Event) -> None:
    """A job of an owner whose threads are all stuck never runs, in a batch either; those of others do."""
    await asyncio.gather(*[pool.run(release.wait, SHORT, "ada") for _ in range(8)], return_exceptions=True)
    ran: list[str] = []
    jobs = [partial(ran.append, name) for name in ("ada", "bob", "ada")]
    outcomes = await pool.run_all(jobs, LONG, ["ada", "bob", "ada"])
    assert ([type(outcome) for outcome in outcomes], ran) == (
        [ThreadsExhausted, type(None), ThreadsExhausted],
        ["bob"],
    )
    with pytest.raises(ThreadsExhausted):
        await pool.run(partial(ran.append, "ada"), LONG, "ada")


async def test_owner_runs_again_when_a_thread_ends(pool: WorkerPool, release: threading.Event) -> None:
    """An owner is refused no longer than its threads are stuck."""
    await asyncio.gather(*[pool.run(release.wait, SHORT, "ada") for _ in range(8)], return_exceptions=True)
    release.set()
    assert ended(*threads())
    assert await pool.run(lambda: 42, LONG, "ada") == 42


async def test_all_owners_have_a_limit_together(pool: WorkerPool, release: threading.Event) -> None:
    """Once 64 threads are stuck, nothing is run any more: it would be one more."""
    runs = [pool.run(release.wait, SHORT, f"character {number % 20}") for number in range(160)]
    await asyncio.gather(*runs, return_exceptions=True)
    assert pool.stuck == 64
    with pytest.raises(ThreadsExhausted, match=r"^not run: 64 calls of other code have not ended"):
        await pool.run(lambda: 42, LONG, "another")


async def test_quick_jobs_of_one_owner_wait_for_their_turn(pool: WorkerPool) -> None:
    """More jobs of one owner than it has threads run one after the other, none of them refused."""
    most, running, guard = 0, 0, threading.Lock()

    def job() -> None:
        nonlocal most, running
        with guard:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with guard:
            running -= 1

    await asyncio.gather(*[pool.run(job, LONG, "ada") for _ in range(100)])
    assert most <= 8


async def test_job_whose_caller_has_gone_is_not_stuck(pool: WorkerPool, release: threading.Event) -> None:
    """Jobs of cancelled calls count as stuck at their deadline only; until then the next ones wait."""
    begun = [threading.Event() for _ in range(8)]

    def job(number: int) -> None:
        begun[number].set()
        release.wait()

    runs = [asyncio.create_task(pool.run(partial(job, number), LONG, "ada")) for number in range(8)]
    for one in begun:
        await asyncio.to_thread(one.wait, 60)
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
    assert pool.stuck == 0
    waiting = asyncio.create_task(pool.run(lambda: 42, LONG, "ada"))
    release.set()
    assert await waiting == 42
