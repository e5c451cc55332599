"""The event loop of a server: how much of what is ready it takes in one turn."""

from __future__ import annotations

import selectors
import socket
from collections import Counter
from contextlib import ExitStack

from charhost.web.process.server_loop import FewAtOnce


def test_few_of_many_ready_connections_are_taken_at_once() -> None:
    """Of a hundred sockets with data at most 32 are reported at a time, and each is reported in the end."""
    with ExitStack() as stack:
        selector, sockets = stack.enter_context(FewAtOnce()), dict[int, socket.socket]()
        for _ in range(100):
            ours, theirs = map(stack.enter_context, socket.socketpair())
            theirs.send(b"x")
            selector.register(ours, selectors.EVENT_READ)
            sockets[ours.fileno()] = ours
        turns = []
        while ready := selector.select(0):
            for key, _ in ready:
                sockets[key.fd].recv(1)
            turns.append(len(ready))
    assert (sum(turns), max(turns)) == (100, 32)


def test_connections_that_always_have_data_keep_no_other_from_its_turn() -> None:
    """Of a hundred sockets whose data never ends each is reported as often as any other, give or take one."""
    with ExitStack() as stack:
        selector, turns = stack.enter_context(FewAtOnce()), Counter[int]()
        for _ in range(100):
            ours, theirs = map(stack.enter_context, socket.socketpair())
            theirs.send(b"x")
            selector.register(ours, selectors.EVENT_READ)
        for _ in range(100):
            turns.update(key.fd for key, _ in selector.select(0))
    assert (len(turns), max(turns.values()) - min(turns.values()) <= 1) == (100, True)
