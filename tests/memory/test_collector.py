"""The pauses of the cyclic garbage collector."""

from __future__ import annotations

import gc
import threading
from contextlib import ExitStack
from gc import freeze

import pytest

from charhost.memory.collector import YOUNG, collector_paused, importing, in_slices


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


def test_the_objects_of_many_items_are_looked_at_in_slices() -> None:
    """All items come, in their order, with a collection of young objects after every hundred."""
    collections: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            collections.append(info["generation"])

    items = [*range(5 * YOUNG // 2)]
    gc.callbacks.append(note)
    try:
        with collector_paused():
            found = [*in_slices(items)]
    finally:
        gc.callbacks.remove(note)
    assert (found, collections) == (items, [1, 1])


def test_the_collector_does_not_look_at_what_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects that were made while modules were imported are left out of later collections."""
    monkeypatch.setattr(gc, "freeze", freeze)
    with importing():
        module = {"names": ["importing"]}
    assert all(found is not module for found in gc.get_objects())
    assert gc.isenabled()
