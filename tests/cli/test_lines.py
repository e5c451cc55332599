"""The lines of a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator

import pytest

from charhost.cli.lines import Lines


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The writing end of a pipe whose other end is standard input."""
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing


async def test_lines_are_read_until_the_end(pipe: int) -> None:
    """Each line comes without its end, a last one without any as well; then there is None."""
    os.write(pipe, b"Hi\n\nBye")
    os.close(pipe)
    lines = Lines()
    assert [await lines.next() for _ in range(4)] == ["Hi", "", "Bye", None]


async def test_no_line_is_lost_by_a_cancellation(pipe: int) -> None:
    """A line that was waited for is the next one, also if the first wait was cancelled."""
    lines = Lines()
    waiting = asyncio.ensure_future(lines.next())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    os.write(pipe, b"Hi\n")
    os.close(pipe)
    assert [await lines.next(), await lines.next()] == ["Hi", None]


async def test_line_that_is_no_text_is_the_end(pipe: int) -> None:
    """Bytes that are not UTF-8 end the input, as its end does."""
    os.write(pipe, b"\xff\n")
    os.close(pipe)
    assert await Lines().next() is None
