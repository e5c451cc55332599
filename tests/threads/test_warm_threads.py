"""Threads that are used again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from charhost.threads import warm_threads
from charhost.threads.warm_threads import WarmThreads


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads that were started, in order, none of which may be left at the end."""
    monkeypatch.setattr(warm_threads, "IDLE_SECONDS", 0.2)
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    yield threads
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def run(threads: WarmThreads, owner: str | None, *, is_usable: bool = True) -> None:
    """Run something to its end, until its thread is idle or over."""
    done = threading.Event()

    def work() -> bool:
        done.set()
        return is_usable

    before = len(threads._idle)
    threads.run(work, owner)
    assert done.wait(60)
    while owner != "" and is_usable and len(threads._idle) != max(before, 1):
        pass


def test_a_thread_is_used_again(begun: list[threading.Thread]) -> None:
    """Work of the same owner does not start another thread."""
    threads = WarmThreads()
    for _ in range(3):
        run(threads, "ada")
    assert len(begun) == 1


def test_owners_share_no_thread(begun: list[threading.Thread]) -> None:
    """What an owner has left in its thread is met by no other."""
    threads = WarmThreads()
    run(threads, "ada")
    run(threads, "")
    run(threads, "")
    assert len(begun) == 3


def test_a_thread_of_the_server_is_used_by_any_owner(begun: list[threading.Thread]) -> None:
    """Work of the server itself leaves nothing in a thread, which then belongs to the owner that has it next."""
    threads = WarmThreads()
    run(threads, None)
    run(threads, None)
    run(threads, "ada")
    run(threads, "")
    assert len(begun) == 2


def test_a_thread_that_was_given_up_is_not_used_again(begun: list[threading.Thread]) -> None:
    """Something may be injected into it yet."""
    threads = WarmThreads()
    run(threads, "ada", is_usable=False)
    run(threads, "ada")
    assert len(begun) == 2


def test_few_threads_wait(begun: list[threading.Thread]) -> None:
    """However many owners there are, only a few threads are kept for them."""
    threads = WarmThreads()
    for number in range(12):
        threads.run(lambda: True, f"owner {number}")
    for thread in begun:
        thread.join(60)
    assert len(threads._idle) == 0
