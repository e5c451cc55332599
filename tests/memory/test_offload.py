"""Work on much data, beside the event loop."""

from __future__ import annotations

import asyncio
import gc
import threading

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


async def test_work_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads the work is done all the same."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
    assert await offload(LARGE, threading.current_thread) is threading.current_thread()
