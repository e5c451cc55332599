"""The report of a reload: the fields of the public contract."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from charhost.text import display

Trigger = Literal["startup", "http", "watch", "rollback", "websocket", "tool", "signal", "fleet"]
Outcome = Literal["applied", "unchanged", "valid", "rejected", "failed"]
Scope = Literal["all", "changed"]
OnError = Literal["exclude", "keep", "abort"]
Nodes = Literal["all", "this"]
SessionPolicy = Literal["close", "close_affected", "follow", "keep"]

# The set of `--directory`; the others have names of their own.
DEFAULT_SET = "default"
SET_NAME = "[a-z0-9][a-z0-9-]{0,31}"

# A path on the disk need not be UTF-8; JSON has to be.


def _displayed(value: object) -> object:
    # Before the check of the type, which refuses such bytes.
    return display(value) if isinstance(value, str) else value


PathText = Annotated[str, BeforeValidator(_displayed)]


def absent(value: object) -> bool:
    """Return whether a field with this value is left out of a response."""
    return value is None


class Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # a server starts without most of them
    )


# The `traceback` is left out where there is none.
class FileError(Frozen, json_schema_serialization_defaults_required=False):
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


class LeftOut(Frozen):
    """A file or folder that is no part of the set, and was not read."""

    path: PathText = Field(description="Relative to the directory; that of a folder ends in `/`.")
    reason: str


class LeftRunning(Frozen):
    """A thread that a version of a file started and that runs although the version has ended, or a task in it."""

    file: PathText = Field(description="Relative to the directory.")
    kind: Literal["thread", "task"]
    name: str


class Changes(Frozen):
    """The differences between two sets, by name of character."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    unchanged: int = 0


class SessionImpact(Frozen):
    """The effect of a swap on the open sessions: the policy applies to `affected` of `total`."""

    policy: SessionPolicy
    total: int = 0
    affected: int = 0


class Serving(Frozen):
    """The current set."""

    generation: int
    revision: str
    characters: int


class Timings(Frozen):
    """Seconds spent in each stage."""

    queue: float = 0.0
    snapshot: float = 0.0
    build: float = 0.0
    swap: float = 0.0


class NodeOutcome(Frozen):
    """The result of a set at one node of a fleet."""

    node: str
    state: Literal["serving", "built", "failed", "silent"]
    revision: str = ""
    seconds: float = Field(default=0.0, description="The time it took to fetch and build the set.")
    errors: tuple[FileError, ...] = ()
    why: str | None = Field(default=None, description="Why it failed, where no file did.")


class FleetOutcome(Frozen):
    """The result of a set in the fleet."""

    epoch: int = Field(description="The generation of the set on every node, or the number of what was proposed.")
    outcome: Literal["committed", "aborted", "valid", "unknown"]
    why: str | None = None
    nodes: tuple[NodeOutcome, ...] = ()


def _without_fleet(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema.get("required", []) if name != "fleet"]


class ReloadReport(Frozen, json_schema_extra=_without_fleet):
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
    set: str = Field(default=DEFAULT_SET, description="The name of the character set.")
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
    fleet: FleetOutcome | None = Field(default=None, exclude_if=absent, description="With a fleet only.")
