"""Processes that code of characters forks from the server."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from selectors import BaseSelector


def give_up_in_children(selector: BaseSelector, state: Path | None) -> None:
    """Let each process that is forked from this one give up the sockets of *selector* and the state file.

    A process that outlives the server would hold its port otherwise, and connections that the server has closed.
    """
    os.register_at_fork(after_in_child=partial(_give_up, selector, state))


def _give_up(selector: BaseSelector, state: Path | None) -> None:
    sockets = [key.fd for key in selector.get_map().values()]
    files = list(_descriptors_of(state.resolve())) if state is not None else []
    # Not only closed: another file would be given the number, and SQLite would write to it.
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor in (*sockets, *files):
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    selector.close()


def _descriptors_of(state: Path) -> Iterator[int]:
    with suppress(OSError):  # /proc is not mounted
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            with suppress(OSError):  # that of the listing
                if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(state)):
                    yield descriptor
