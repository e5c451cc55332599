"""The request and the report of a reload: the fields of the public contract."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from charhost.text import display

Trigger = Literal["startup", "http", "watch", "rollback", "websocket", "tool", "signal"]
Outcome = Literal["applied", "unchanged", "valid", "rejected", "failed"]
Scope = Literal["all", "changed"]
OnError = Literal["exclude", "keep", "abort"]
SessionPolicy = Literal["close", "close_affected", "follow", "keep"]

# A path on the disk need not be UTF-8; JSON has to be.
PathText = Annotated[str, BeforeValidator(display)]


def absent(value: object) -> bool:
    """Return whether a field with this value is left out of a response."""
    return value is None


# The same as `_absolute`, for the JSON schema.
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


def _integer(value: object) -> object:
    # In JSON Schema, and so in the OpenAPI document, 7.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Policy = Annotated[
    SessionPolicy | None, Field(description="What happens to open sessions; null: the server's setting.")
]
Drain = Annotated[
    float | None,
    Field(
        ge=0, le=86_400, description="How long a session may finish its current response; null: the server's setting."
    ),
]
Reason = Annotated[str | None, Field(max_length=1000, description="Why; kept in the history.")]


class ReloadRequest(_Frozen):
    """Replace the character set by that of a directory."""

    directory: Annotated[str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": _ABSOLUTE})] | None = (
        Field(default=None, description='An absolute path, or "default"; null: the current directory.')
    )
    scope: Scope = Field(default="all", description="Execute every file again, or only those that changed.")
    sessions: Policy = None
    drain_seconds: Drain = None
    on_error: OnError = Field(
        default="exclude",
        description="If a file fails: leave it out, keep its last good version, or change nothing.",
    )
    dry_run: bool = Field(default=False, description="Load, check and report; change nothing.")
    check_isolated: bool | None = Field(
        default=None, description="First load in a child process, which may crash; null: the server's setting."
    )
    reason: Reason = None


class RollbackRequest(_Frozen):
    """Restore the characters of an earlier generation."""

    generation: Annotated[int, Field(ge=0, strict=True), BeforeValidator(_integer)] | None = Field(
        default=None, description="The generation to restore; null: the one before the current."
    )
    sessions: Policy = None
    drain_seconds: Drain = None
    reason: Reason = None

    @property
    def as_reload(self) -> ReloadRequest:
        """The reload that restores all characters of the generation, or changes nothing."""
        return ReloadRequest(**self.model_dump(exclude={"generation"}), on_error="abort")


# The `traceback` is left out where there is none.
class FileError(_Frozen, json_schema_serialization_defaults_required=False):
    """Why one file was not loaded."""

    file: str = Field(description="Relative to the directory.")
    line: int | None = None
    character: str | None = None
    error_type: str = Field(description="A bounded label; see `charhost.character.diagnostics`.")
    exception: str = Field(description="The exact class.")
    message: str
    traceback: str | None = Field(default=None, exclude_if=absent)

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.error_type}: {self.message}"


class Changes(_Frozen):
    """The differences between two sets, by name of character."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    unchanged: int = 0


class SessionImpact(_Frozen):
    """The effect of a swap on the open sessions: the policy applies to `affected` of `total`."""

    policy: SessionPolicy
    total: int = 0
    affected: int = 0


class Serving(_Frozen):
    """The current set."""

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
    """The report of one reload, whatever its outcome.

    `generation` and `revision` are those of the set it loaded (for a dry run: would have loaded); if it loaded none,
    those of the current set. `loaded_count` counts the characters of that set.
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
