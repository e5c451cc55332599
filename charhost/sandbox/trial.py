"""The result of loading one file in a child process."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from charhost.character.character import Character
from charhost.report import FileError
from charhost.text import display


class Rehearsal(BaseModel):
    """What one file came to: a character with its prompt, or an error."""

    model_config = ConfigDict(frozen=True, strict=True)

    file: str
    name: str = ""
    prompt: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    host_tools: tuple[str, ...] = ()
    greetings: tuple[str, ...] = ()
    error: FileError | None = None

    @classmethod
    def of(cls, character: Character, prompt: str) -> Rehearsal:
        """Keep what can leave the process."""
        tools = tuple(dict(tool) for tool in character.tools)
        return cls(
            file=character.file,
            name=character.name,
            prompt=prompt,
            tools=tools,
            host_tools=character.host_tools,
            greetings=character.greetings,
        )


def crash(path: str, cause: str, stage: str = "loaded") -> FileError:
    """Describe what only a process of its own could survive; *stage* says what was asked of the file."""
    message = f"{stage} in a child process, {cause}"
    return FileError(file=display(path), error_type="Crash", exception="Crash", message=message)


def read(lines: bytes) -> list[Rehearsal]:
    """Read what a stage wrote, as far as it is whole: its process may have ended in the middle."""
    found: list[Rehearsal] = []
    with suppress(ValidationError):
        found.extend(map(Rehearsal.model_validate_json, lines.splitlines()))
    return found
