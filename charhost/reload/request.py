"""ReloadRequest and RollbackRequest: the bodies of the requests that change the character set."""

import os
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from charhost.jsontext import integer
from charhost.report import Frozen, Nodes, OnError, Scope, SessionPolicy

# The same as `_absolute`, for the JSON schema.
_ABSOLUTE = r"^(default|/[^\u0000]*)$"
_PATH = r"^/[^\u0000]*$"


def _absolute(directory: str) -> str:
    if "\0" in directory:
        raise ValueError("a path cannot hold a NUL character")
    if directory != "default" and not os.path.isabs(directory):
        raise ValueError('expected an absolute path or "default"')
    return directory


def _path(directory: str) -> str:
    if directory == "default":
        raise ValueError("expected an absolute path")
    return _absolute(directory)


Policy = Annotated[
    SessionPolicy | None, Field(description="What happens to open sessions; null: the setting `sessions`.")
]
Drain = Annotated[
    float | None,
    Field(
        ge=0,
        le=86_400,
        description="How long a session that is about to be closed may finish its response; null: the setting `drain`.",
    ),
]
Reason = Annotated[str | None, Field(max_length=1000, description="A note for the history, up to 1,000 characters.")]
Set = Annotated[str | None, Field(description="The name of the character set; null: `default`.")]


class ReloadRequest(Frozen):
    """Replace the characters of a set by those of a directory."""

    set: Set = None
    directory: Annotated[str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": _ABSOLUTE})] | None = (
        Field(default=None, description='An absolute path, or "default"; null: the current directory.')
    )
    scope: Scope = Field(
        default="all",
        description=(
            "`all`: execute every file; `changed`: only changed files, and files whose helpers or data files changed."
        ),
    )
    sessions: Policy = None
    drain_seconds: Drain = None
    on_error: OnError = Field(
        default="exclude",
        description=(
            "If a file fails: `exclude` leaves it out and loads the others, `keep` keeps its last good version from "
            "the same directory, `abort` changes nothing."
        ),
    )
    dry_run: bool = Field(default=False, description="Load, check and report; change nothing.")
    check_isolated: bool | None = Field(
        default=None,
        description=(
            "Load in a child process first, and refuse what kills or hangs the child; null: the setting "
            "`check_isolated`."
        ),
    )
    reason: Reason = None


class FleetReloadRequest(ReloadRequest):
    """Replace the characters of a set at the nodes of a fleet."""

    nodes: Nodes = Field(
        default="all",
        description=(
            "`all`: every node, or none; `this`: only the node that is asked, until it follows the fleet again, as "
            "in an emergency while the engine cannot be reached."
        ),
    )
    uploaded: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="The digest of an uploaded set (`PUT /v1/fleet/sets`), in place of a directory.",
    )

    @model_validator(mode="after")
    def _take_one(self) -> Self:
        if self.uploaded is not None and self.directory is not None:
            raise ValueError("name either a directory or an uploaded set")
        return self


class SetRequest(Frozen):
    """Add a character set, or give it another directory."""

    directory: Annotated[str, AfterValidator(_path), Field(json_schema_extra={"pattern": _PATH})] = Field(
        description="An absolute path, which is also what `default` means in a reload of the set."
    )
    watch: bool | None = Field(
        default=None, description="Reload it when a file changes; null: the server's setting, `--watch`."
    )


class RollbackRequest(Frozen):
    """Restore the characters of an earlier generation."""

    set: Set = None
    generation: Annotated[int, Field(ge=0, strict=True), BeforeValidator(integer)] | None = Field(
        default=None, description="The generation to restore; null: the one before the current."
    )
    sessions: Policy = None
    drain_seconds: Drain = None
    reason: Reason = None

    @property
    def as_reload(self) -> ReloadRequest:
        """The reload that restores all characters of the generation, or changes nothing."""
        return ReloadRequest(**self.model_dump(exclude={"generation"}), on_error="abort")
