"""The pauses of the cyclic garbage collector."""

from __future__ import annotations

import gc
import threading
from contextlib import ExitStack

from charhost.memory.collector import collector_paused


def test_the_last_pause_that_ends_resumes_the_collector() -> None:
    """Of pauses that overlap, the first to begin may end first: the collector rests until the other has ended, too."""
    first, second = ExitStack(), ExitStack()
    first.enter_context(collector_paused())
    second.enter_context(collector_paused())
    first.close()
    assert not gc.isenabled()
    second.close()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    """The end of a pause does not turn on what was off before the first one."""
    gc.disable()
    try:
        with collector_paused(), collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_pauses_on_threads_are_counted() -> None:
    """Many pauses of many threads leave none behind."""

    def pause_often() -> None:
        for _ in range(1_000):
            with collector_paused():
                pass

    threads = [threading.Thread(target=pause_often) for _ in range(4)]
    with collector_paused():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not gc.isenabled()
    assert gc.isenabled()
