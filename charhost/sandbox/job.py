"""One file for a child process to load, and how the child ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """What a child is to load, and what it may use: *deadline* seconds for each file, *memory* bytes, *processes*.

    With a *prompt_deadline* the files are rehearsed, and what they came to takes the place of the job in its file.
    """

    directory: str
    sources: dict[str, bytes]
    paths: tuple[str, ...]
    deadline: float
    memory: int
    processes: int
    prompt_deadline: float | None = None


@dataclass(frozen=True)
class Verdict:
    """How a child ended: *culprit* is the index of the path it was busy with, None if it came to the end of its job."""

    culprit: int | None
    cause: str
    stage: str = "loaded"
