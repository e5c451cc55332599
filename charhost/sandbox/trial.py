"""Trials of character files in a child process: the job, how the child ended, and the result for each file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from charhost.character.character import Character
from charhost.report import FileError
from charhost.text import display


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


class Ended(BaseModel, frozen=True):
    """How a child ended: *cause* is None at the end of its job, else the fault of the first file without a trial."""

    cause: str | None
    stage: str = "loaded"


class Trial(BaseModel, frozen=True, strict=True):
    """The character in one file, with its prompt if that is requested, or an error."""

    file: str
    name: str = ""
    prompt: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    host_tools: tuple[str, ...] = ()
    greetings: tuple[str, ...] = ()
    voice_source: dict[str, Any] = {}
    language: str | None = None
    error: FileError | None = None

    @classmethod
    def of(cls, character: Character, prompt: str) -> Trial:
        language = character.instructions.get("language")
        made = {"prompt": prompt, "language": language if isinstance(language, str) else None}
        return cls.model_validate(character, from_attributes=True).model_copy(update=made)


def crash(path: str, cause: str, stage: str = "loaded") -> FileError:
    message = f"{stage} in a child process, {cause}"
    return FileError(file=display(path), error_type="Crash", exception="Crash", message=message)


def read_trials(lines: bytes) -> list[Trial]:
    """Read the trials up to the first incomplete line: the child may have ended in the middle of one."""
    found: list[Trial] = []
    with suppress(ValidationError):
        found.extend(map(Trial.model_validate_json, lines.splitlines()))
    return found
