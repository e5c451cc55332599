"""Helpers of the benchmarks: generated characters, medians and tables."""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

_SOURCE = '''"""A generated character."""

CHARACTER_NAME = "Number {number:05d}"
VOICE_SOURCE = {{"source_type": "file", "path_on_server": "voices/{number:05d}.wav", "description": "a voice"}}
INSTRUCTIONS = {{"type": "constant", "language": "en", "text": {text!r}}}
METADATA = {{"good": True, "comment": {comment!r}}}

OPENINGS = ["Good morning.", "There you are.", "Shall we begin?"]


class PromptGenerator:
    """Makes the prompt of one conversation."""

    def __init__(self, instructions: dict) -> None:
        self.instructions = instructions

    def make_system_prompt(self) -> str:
        opening = OPENINGS[len(self.instructions["text"]) % len(OPENINGS)]
        return "\\n".join([self.instructions["text"], "Open with: " + opening])
'''


def character_source(number: int, text: str = "You answer briefly and ask back.", comment: str = "generated") -> str:
    """Return a character file of about twenty lines."""
    return _SOURCE.format(number=number, text=text, comment=comment)


def generate(directory: Path, count: int) -> Path:
    """Write *count* character files to *directory*, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (directory / f"c{number:05d}.py").write_text(character_source(number))
    return directory


def machine() -> dict[str, float | str | None]:
    """Return the properties of this machine that figures depend on."""
    return {"processors": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
