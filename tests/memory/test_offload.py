"""Work on much data, beside the event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from charhost.memory.offload import LARGE, offload

LIMIT = 30


async def test_work_on_few_bytes_is_done_at_once() -> None:
    """It runs on the thread of the event loop, which has no turn in between."""
    others = asyncio.create_task(asyncio.sleep(0))
    assert await offload(LARGE - 1, threading.current_thread) is threading.current_thread()
    assert not others.done()


async def test_the_event_loop_goes_on_during_work_on_many() -> None:
    """It runs on another thread, without the collector, and the event loop can do what it waits for."""
    proceed = threading.Event()
    asyncio.get_running_loop().call_soon(proceed.set)
    assert await offload(LARGE, lambda: (proceed.wait(LIMIT), gc.isenabled())) == (True, False)
    assert gc.isenabled()


async def test_errors_of_work() -> None:
    """An error comes to the caller, and the collector works again."""
    with pytest.raises(KeyError):
        await offload(LARGE, lambda: dict[str, int]()["a"])
    assert gc.isenabled()


class Data:
    """Data of a request."""


async def test_an_error_holds_no_data() -> None:
    """The data of work that failed is gone with the error, without the collector."""
    data = Data()
    gone = weakref.ref(data)
    gc.disable()
    try:
        with suppress(ZeroDivisionError):
            await offload(LARGE, partial(lambda _: 1 // 0, data))
        del data
        async with asyncio.timeout(LIMIT):
            while gone() is not None:  # the thread lets go of it a moment later
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_work_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads the work is done all the same, and only once."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("charhost.memory.offload._THREAD", ThreadPoolExecutor(1))
    done: list[threading.Thread] = []
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", refuse)
        await offload(LARGE, lambda: done.append(threading.current_thread()))
    await offload(LARGE, bool)
    assert done == [threading.current_thread()]
