"""Counts of what the server does, which do not depend on the machine."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import charhost

_PACKAGE = str(Path(charhost.__file__).parent)


class Count:
    """How often something happened."""

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def calls_of_charhost() -> Iterator[Count]:
    """Count the calls of its functions on this thread, and how often its generators are resumed."""
    count = Count()

    def note(frame: FrameType, event: str, _: object) -> None:
        count.number += event == "call" and frame.f_code.co_filename.startswith(_PACKAGE)

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


async def least_calls(turn: Callable[[], Awaitable[object]]) -> int:
    """Return the calls of charhost for a turn on a warm server, without the work of each second between them."""
    await turn()
    found = []
    for _ in range(5):
        with calls_of_charhost() as count:
            await turn()
        found.append(count.number)
    return min(found)


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> Count:
    """Count the calls of a method from now on."""
    count, method = Count(), getattr(owner, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        count.number += 1
        return method(*arguments, **named)

    monkeypatch.setattr(owner, name, counted)
    return count
