"""Helpers of the benchmarks: generated characters, gaps of the event loop, medians and tables."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SOURCE = '''"""A generated character."""

CHARACTER_NAME = "Number {number:05d}"
VOICE_SOURCE = {{"source_type": "file", "path_on_server": "voices/{number:05d}.wav", "description": "a voice"}}
INSTRUCTIONS = {{"type": "constant", "language": "en", "text": {text!r}}}
METADATA = {{"good": True, "comment": "generated"}}

OPENINGS = ["Good morning.", "There you are.", "Shall we begin?"]


class PromptGenerator:
    """Makes the prompt of one conversation."""

    def __init__(self, instructions: dict) -> None:
        self.instructions = instructions

    def make_system_prompt(self) -> str:
        opening = OPENINGS[len(self.instructions["text"]) % len(OPENINGS)]
        return "\\n".join([self.instructions["text"], "Open with: " + opening])
'''


def character_source(number: int, text: str = "You answer briefly and ask back.") -> str:
    """Return a character file of about twenty lines."""
    return _SOURCE.format(number=number, text=text)


def generate(directory: Path, count: int) -> Path:
    """Write *count* character files to *directory*, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (directory / f"c{number:05d}.py").write_text(character_source(number))
    return directory


class Ticker:
    """Wakes every millisecond, and records the longest time for which other work blocked the event loop."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Tick until cancelled."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - 0.001)
            last = now

    def take(self) -> float:
        """Return the longest gap since the last call, in milliseconds."""
        longest, self.longest = self.longest, 0.0
        return longest * 1000


class Stopwatch:
    """Measures the duration of a block in milliseconds."""

    milliseconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time the block."""
        started = time.perf_counter()
        yield
        self.milliseconds = (time.perf_counter() - started) * 1000


def spread(values: Sequence[float]) -> str:
    """Return the median and the range as text."""
    return f"{statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
