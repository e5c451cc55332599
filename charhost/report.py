"""What is asked of a reload, and what it answers (the fields of the public contract)."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from charhost.text import display

Trigger = Literal["startup", "http", "watch", "rollback", "websocket", "tool"]
Outcome = Literal["applied", "unchanged", "valid", "rejected", "failed"]
Scope = Literal["all", "changed"]
OnError = Literal["exclude", "keep", "abort"]


# A path on the disk need not be UTF-8; in an answer it has to be.
PathText = Annotated[str, BeforeValidator(display)]


def absent(value: object) -> bool:
    """Say whether a field is left out of an answer."""
    return value is None


# What `_absolute` accepts, for those who read the schema.
_ABSOLUTE = r"^(default|/[^\u0000]*)$"


def _absolute(directory: str) -> str:
    if "\0" in directory:
        raise ValueError("a path cannot hold a NUL character")
    if directory != "default" and not os.path.isabs(directory):
        raise ValueError('expected an absolute path or "default"')
    return directory


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, json_schema_serialization_defaults_required=True
    )


Seconds = Annotated[float, Field(ge=0, le=86_400, strict=True)]


def _integer(value: object) -> object:
    # In JSON Schema, and so in the OpenAPI document, 7.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ReloadRequest(_Frozen):
    """One wish to replace the character set; equal requests that wait share one run."""

    directory: Annotated[str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": _ABSOLUTE})] | None = (
        Field(None, description='An absolute path, or "default"; without it the current directory.')
    )
    scope: Scope = Field("all", description="Execute every file afresh, or only what changed.")
    sessions: SessionPolicy | None = Field(
        None, description="What happens to open sessions; null: the server's setting."
    )
    drain_seconds: Seconds | None = Field(
        None, description="How long a session in the middle of an answer may stay; null: the server's setting."
    )
    on_error: OnError = Field(
        "exclude",
        description="What one bad file does: it is left out, its last good version stays, or nothing changes.",
    )
    dry_run: bool = Field(False, description="Load, check and report; change nothing.")
    check_isolated: bool | None = Field(
        None, description="First load it in a child process, which may crash; null: the server's setting."
    )
    reason: str | None = Field(None, max_length=1000, description="Why, for whoever reads the report.")


class RollbackRequest(_Frozen):
    """One wish to have the characters of an earlier generation back."""

    generation: Annotated[int, Field(ge=0, strict=True), BeforeValidator(_integer)] | None = Field(
        None, description="Whose characters; null: those of the generation before the current one."
    )
    sessions: SessionPolicy | None = Field(
        None, description="What happens to open sessions; null: the server's setting."
    )
    drain_seconds: Seconds | None = Field(
        None, description="How long a session in the middle of an answer may stay; null: the server's setting."
    )
    reason: str | None = Field(None, max_length=1000, description="Why, for whoever reads the report.")


class FileError(_Frozen):
    """Why one file is not among the characters."""

    # Its `traceback` is left out where there is none.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    file: str = Field(description="Relative to the directory.")
    line: int | None = None
    character: str | None = None
    error_type: str = Field(description="A bounded label; see `charhost.character.diagnostics`.")
    exception: str = Field(description="The exact class.")
    message: str
    traceback: str | None = Field(default=None, exclude_if=absent)

    def __str__(self) -> str:
        """One line as an author reads it: `charles.py:12: SyntaxError: …`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.error_type}: {self.message}"


class Changes(_Frozen):
    """How one set differs from the set before it, by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    unchanged: int = 0


class SessionImpact(_Frozen):
    """What a swap means for the open sessions: `affected` of `total` are touched by the policy."""

    policy: SessionPolicy
    total: int = 0
    affected: int = 0


class Serving(_Frozen):
    """The set that answers now."""

    generation: int
    revision: str
    characters: int


class Timings(_Frozen):
    """Seconds spent in each stage."""

    queue: float = 0.0
    snapshot: float = 0.0
    build: float = 0.0
    swap: float = 0.0


class ReloadReport(_Frozen):
    """The answer to one reload, whatever its outcome.

    `generation` and `revision` are those of the set it loaded (for a dry run: would have loaded); where it loaded
    none, those that go on serving. `loaded_count` counts the characters of that set.
    """

    success: bool
    directory: PathText
    total_files: int = 0
    loaded_count: int = 0
    error_count: int = 0
    load_duration: float = 0.0
    message: PathText
    reload_id: str
    outcome: Outcome
    trigger: Trigger
    scope: Scope
    dry_run: bool
    reason: str | None
    generation: int
    revision: str
    started_at: str
    changes: Changes = Changes()
    errors: tuple[FileError, ...] = ()
    sessions: SessionImpact
    serving: Serving
    timings: Timings = Timings()


SessionPolicy = Literal["close", "close_affected", "follow", "keep"]
