"""Jobs that never end, and the threads of pools."""

from __future__ import annotations

import threading
from collections.abc import Callable

SHORT = 1.0  # the deadline of jobs that are meant to miss it
LONG = 60.0  # the deadline of jobs that are meant to make it


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("charhost-")]


def ended(*waited_for: threading.Thread) -> bool:
    """Return whether the threads end within a generous limit."""
    for thread in waited_for:
        thread.join(60)
    return not any(thread.is_alive() for thread in waited_for)


def loop_for_ever() -> None:
    while True:
        pass


def loop_and_swallow() -> None:
    while True:
        try:
            len("")
        except BaseException:
            continue


def raising(error: BaseException) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job
