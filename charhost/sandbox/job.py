"""Files for a child process to try, and how the child ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Files to load, in order, and the limits: *deadline* seconds a file, *memory* bytes, *processes*.

    With a *prompt_deadline* each character also makes its prompt, and must leave no process running.
    The child replaces the job in its memory file by a `Trial` in JSON for each file, one a line.
    """

    directory: str
    sources: dict[str, bytes]
    paths: tuple[str, ...]
    deadline: float
    memory: int
    processes: int
    prompt_deadline: float | None


@dataclass(frozen=True)
class Ended:
    """How a child ended: *cause* is None at the end of its job, else the fault of the first file without a trial."""

    cause: str | None
    stage: str = "loaded"
