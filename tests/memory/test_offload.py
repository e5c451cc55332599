"""Work on much data, beside the event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from charhost.memory.offload import LARGE, Offload

LIMIT = 180


@pytest.fixture
def offload() -> Iterator[Offload]:
    """Return a thread for work, which ends with the test."""
    made = Offload()
    yield made
    made.close()


async def test_work_on_few_bytes_is_done_at_once(offload: Offload) -> None:
    """It runs on the thread of the event loop, which has no turn in between."""
    others = asyncio.create_task(asyncio.sleep(0))
    assert await offload.run(LARGE - 1, threading.current_thread) is threading.current_thread()
    assert not others.done()


async def test_the_event_loop_goes_on_during_work_on_many(offload: Offload) -> None:
    """It runs on another thread, without the collector, and the event loop can do what it waits for."""
    proceed = threading.Event()
    asyncio.get_running_loop().call_soon(proceed.set)
    assert await offload.run(LARGE, lambda: (proceed.wait(LIMIT), gc.isenabled())) == (True, False)
    assert gc.isenabled()


async def test_errors_of_work(offload: Offload) -> None:
    """An error comes to the caller, and the collector works again."""
    with pytest.raises(KeyError):
        await offload.run(LARGE, lambda: dict[str, int]()["a"])
    assert gc.isenabled()


class Data:
    """Data of a request."""


async def test_an_error_holds_no_data(offload: Offload) -> None:
    """The data of work that failed is gone with the error, without the collector."""
    data = Data()
    gone = weakref.ref(data)
    gc.disable()
    try:
        with suppress(ZeroDivisionError):
            await offload.run(LARGE, partial(lambda _: 1 // 0, data))
        del data
        async with asyncio.timeout(LIMIT):
            while gone() is not None:  # the thread lets go of it a moment later
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_work_without_a_thread(offload: Offload, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads the work is done all the same, and only once."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    done: list[threading.Thread] = []
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", refuse)
        await offload.run(LARGE, lambda: done.append(threading.current_thread()))
    await offload.run(LARGE, bool)
    assert done == [threading.current_thread()]


async def test_each_owner_has_a_thread_of_its_own(offload: Offload) -> None:
    """Work of one application does not wait for that of another in the same process."""
    proceed, other = threading.Event(), Offload()
    waiting = asyncio.create_task(offload.run(LARGE, partial(proceed.wait, LIMIT)))
    await asyncio.sleep(0)
    assert await other.run(LARGE, threading.current_thread) is not threading.current_thread()
    proceed.set()
    assert await waiting
    other.close()


async def test_the_thread_ends_with_its_owner(offload: Offload) -> None:
    """After the end the thread is gone, and work that comes all the same is done at once."""
    thread = await offload.run(LARGE, threading.current_thread)
    offload.close()
    await asyncio.to_thread(thread.join, LIMIT)
    assert not thread.is_alive()
    assert await offload.run(LARGE, threading.current_thread) is threading.current_thread()
