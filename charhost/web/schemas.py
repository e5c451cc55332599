"""Response models that are not defined elsewhere."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from charhost.report import LeftOut, LeftRunning, PathText, ReloadReport, Serving, SessionImpact, absent
from charhost.watch.health import WatcherStatus
from charhost.web.http.response_model import ResponseModel
from charhost.web.sessions.sessions import GenerationCount


class SpeakingVoice(ResponseModel):
    """The voice with which a character speaks."""

    backend: str = Field(description="The kind of engine: openai, kyutai or piper.")
    name: str = Field(description="The voice as the engine knows it; empty for the engine's own choice.")
    exact: bool = Field(description="Whether it is the one that the file asks for.")
    why: str | None = Field(description="Why it is another one.")


class CatalogEntry(ResponseModel):
    """One character."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    name: str
    file: str = Field(description="Relative to the directory.")
    good: bool | None = Field(description="Whether its author lists it among the voices.")
    comment: str | None
    voice_source: dict[str, Any] = Field(description="VOICE_SOURCE of the file.")
    voice: SpeakingVoice | None = Field(
        default=None, exclude_if=absent, description="What it speaks with; only where the server has a voice."
    )
    metadata: dict[str, Any] = Field(description="METADATA of the file.")
    tools: list[str] = Field(description="The names of the tools that the server runs for it.")
    host_tools: list[str] = Field(description="Those of the server's own tools that it has in a session of an admin's.")
    fingerprint: str = Field(
        description="Differs when its file, one that it imports, or one that these read as they are loaded does."
    )
    generation: int = Field(description="The generation that loaded it.")


class Catalog(ResponseModel):
    """The set of characters that serves."""

    directory: PathText
    generation: int = Field(description="Rises by one at every swap.")
    revision: str = Field(description="Differs when any character does.")
    characters: list[CatalogEntry]


class SetEntry(ResponseModel):
    """One character set, and its current characters."""

    name: str
    directory: PathText
    watched: bool = Field(description="Whether it is reloaded when a file changes.")
    generation: int
    revision: str
    characters: int = Field(description="How many it has.")
    default_character: str | None = Field(description="The one for clients that name none, without the set.")


class SetList(ResponseModel):
    """The character sets that the caller may use; the default one is the first."""

    sets: tuple[SetEntry, ...]


class RemovedSet(ResponseModel):
    """The set that was removed, and the end of its sessions."""

    name: str
    sessions: SessionImpact


class FreesoundSource(BaseModel, frozen=True, extra="allow"):
    """A voice that is a recording of freesound.org, as the character's file describes it."""

    source_type: Literal["freesound"] = "freesound"
    path_on_server: str


class FileSource(BaseModel, frozen=True):
    """A voice that is a file; for any other kind, something that a client can send back."""

    source_type: Literal["file"]
    path_on_server: str
    description: str | None = Field(default=None, exclude_if=absent)
    description_link: str | None = Field(default=None, exclude_if=absent)


class Voice(BaseModel, frozen=True):
    """A character, in the closed shape that unmute's clients accept."""

    name: str
    good: Literal[True]
    instructions: None = Field(description="A character's own instructions are never shown.")
    source: FreesoundSource | FileSource
    comment: str | None = Field(default=None, exclude_if=absent)


class ModelEntry(ResponseModel):
    """A character, as OpenAI's clients know a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When the server started: a Unix time.")
    owned_by: Literal["charhost"] = "charhost"
    name: str
    alias: str = Field(description="An id in ASCII, such as `professor-quill`; requests may have it as their `model`.")
    description: str | None = Field(description="The comment of its author.")
    context_length: int = Field(description="The most tokens that its model is sent: those in force, or fewer.")
    has_tools: bool = Field(description="Whether it has tools of its own, which the server runs.")


class ModelList(ResponseModel):
    """Every character, as OpenAI's clients list models."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class InProgress(ResponseModel):
    """The reload that runs now."""

    reload_id: str
    since: str


class Status(ResponseModel):
    """The state of a character set, not of the disk."""

    set: str
    serving: Serving
    last_reload: ReloadReport | None
    last_error: ReloadReport | None = Field(description="The last reload that named an error; null once all is well.")
    in_progress: InProgress | None
    watcher: WatcherStatus | None = Field(description="Null without --watch.")
    generations: list[GenerationCount] = Field(description="Newest first.")
    state_file: bool = Field(description="Whether history and conversations survive a restart (`--state`).")
    left_out: tuple[LeftOut, ...] = Field(description="Files and folders of the directory that are not read, and why.")
    left_running: tuple[LeftRunning, ...] = Field(
        description="Threads and tasks of characters that are no longer loaded, which do not end."
    )
