"""The settings of the server, from options and the environment."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from charhost.errors import SettingsError
from charhost.report import DEFAULT_SET, SessionPolicy
from charhost.settings.environment import check_key, key_among, option, unknown_variables, variable
from charhost.settings.fleet import FleetSettings
from charhost.settings.habit import Habit
from charhost.settings.loopback import is_loopback
from charhost.settings.values import (
    AbsolutePath,
    Habits,
    Hosts,
    ModelUrl,
    NamedDirectories,
    Origins,
    Patterns,
    Roots,
    default_directory,
    habits_in,
)
from charhost.settings.voice import VoiceSettings
from charhost.text import FieldProblem, field_problems

# Wordings for errors that pydantic describes by how it parses text.
_NUMBERS = {"int_parsing": "expected a whole number", "float_parsing": "expected a number"}
# The first setting of each group, in the order in which they are shown.
_GROUPS = {
    "directory": "Characters",
    "host": "Server",
    "sessions": "Sessions",
    "llm_url": "Model",
    "voice": "Voice",
    "watch": "Watching",
    "admin_key": "Security",
    "fleet": "Fleet",
    "file_deadline": "Limits",
}
_KEYS = ("admin_key", "api_key", "llm_key", "tts_key", "stt_key", "fleet_key")
_SHORTEST_KEY = 16


def settings_by_group() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    names: list[str] = []
    for name in Settings.model_fields:
        if name in _GROUPS:
            names = groups.setdefault(_GROUPS[name], [])
        names.append(name)
    return {group: groups[group] for group in _GROUPS.values()}


def is_secret(name: str) -> bool:
    """Return whether a setting is a key, which has no option and is never shown."""
    return SecretStr in get_args(Settings.model_fields[name].annotation)


class Settings(BaseSettings, VoiceSettings, FleetSettings):
    """The settings, each an option of `charhost serve` and a variable `CHARHOST_<NAME>`.

    Keys have no option, because every user of the machine can read a command line.
    """

    model_config = SettingsConfigDict(env_prefix="CHARHOST_", frozen=True, extra="forbid", env_ignore_empty=True)

    directory: AbsolutePath = Field(default_factory=default_directory, description="The first character directory.")
    set: NamedDirectories = Field(
        (), description="More character sets beside that of --directory, each as NAME=DIRECTORY, separated by commas."
    )
    exclude: Patterns = Field(
        (),
        description="Files and folders of the directory to leave out: patterns as in .gitignore, separated by commas.",
    )
    character: str | None = Field(
        None, description="The character for clients that name none (default: the first good one)."
    )
    prompt_deadline: float = Field(10, gt=0, description="Seconds for a character to make its prompt.")
    tool_deadline: float = Field(30, gt=0, description="Seconds for one tool call of a character.")
    tool_rounds: int = Field(8, ge=1, description="Maximum number of rounds of tool calls in one response.")

    host: str = Field("127.0.0.1", description="The address to listen on; all but loopback need an admin key.")
    port: int = Field(8000, ge=1, le=65535, description="The port to listen on.")
    state: AbsolutePath | None = Field(
        None, description="A file that keeps history, character sets and conversations across restarts."
    )
    resume_set: bool = Field(False, description="Start with the last set unless its directory changed; needs --state.")
    log_file: AbsolutePath | None = Field(None, description="A file to write the log to as well.")
    shutdown_timeout: float = Field(
        3,
        gt=0,
        description="Seconds that a shutdown waits for a reload, for requests, and for on_unload of characters.",
    )
    watchdog: float = Field(
        30, ge=0, description="Seconds without a sign of life after which the stacks are written; 0: never."
    )

    sessions: SessionPolicy = Field(
        "close", description="The default of a reload for open sessions: close, close_affected, follow or keep."
    )
    drain: float = Field(0, ge=0, description="Seconds for a session to finish its response at a reload.")
    max_reconnects_per_second: float = Field(
        200, gt=0, description="Maximum number of clients to reconnect per second."
    )
    close_grace: float = Field(2, gt=0, description="Seconds for a client to receive its last messages.")
    heartbeat_timeout: float = Field(90, gt=0, description="Seconds for a client to answer a ping or send anything.")
    resume_ttl: float = Field(600, ge=0, description="Seconds for a disconnected client to resume its session.")
    resume_max: int = Field(10_000, ge=0, description="Maximum number of disconnected sessions kept.")
    max_sessions: int = Field(10_000, ge=1, description="Maximum number of open WebSockets; more get 503.")
    memory_budget: int | None = Field(
        None,
        ge=1,
        description="Maximum bytes held for clients (default: a quarter of what the machine or the cgroup has).",
    )

    llm_url: ModelUrl | None = Field(
        None,
        description=(
            "An OpenAI-compatible server, such as http://127.0.0.1:11434/v1, or none for the offline stand-in "
            "(default: one that is found on this machine)."
        ),
    )
    llm_model: str | None = Field(
        None, description="The model to request from the LLM server (default: its first model)."
    )
    llm_key: SecretStr | None = Field(None, description="The key to send to the LLM server; has no option.")
    llm_key_file: Path | None = Field(None, description="A file with the key of the LLM server in its first line.")
    llm_concurrency: int = Field(64, ge=1, description="Maximum number of concurrent requests to models; more wait.")
    llm_wait: float = Field(30, gt=0, description="Seconds for a request to wait until fewer requests to models run.")
    llm_connect_deadline: float = Field(10, gt=0, description="Seconds to connect to a model.")
    llm_first_deadline: float = Field(120, gt=0, description="Seconds for a model to begin a response.")
    llm_idle_deadline: float = Field(30, gt=0, description="Seconds for a model to pause within a response.")
    llm_compat: Habits | None = Field(
        None, description="Habits of the LLM server, separated by commas, such as no-tools (default: learned)."
    )
    task_model: str | None = Field(
        None, description="A name for the model itself, without a character: for the titles and tags of chat programs."
    )
    llm_pass: str | None = Field(
        None, description="More fields of requests that reach the model, separated by commas, such as mirostat_*."
    )
    reasoning: Literal["forward", "hide"] = Field(
        "forward", description="Whether HTTP clients receive the model's thinking: forward or hide."
    )
    history_tokens: int = Field(8192, ge=1, description="Maximum number of tokens of a conversation sent to a model.")
    system_tokens: int = Field(
        32_768, ge=1, description="Maximum number of tokens of a client's system messages before a conversation."
    )

    watch: bool = Field(False, description="Reload when a file of a character in the directory changes.")
    watch_quiet: float = Field(0.025, gt=0, description="Seconds without a write before a reload.")
    watch_interval: float = Field(30, gt=0, description="Seconds between two comparisons of all files by content.")
    watch_poll: bool = Field(False, description="Poll, for file systems without change events.")

    admin_key: SecretStr | None = Field(None, description="The key for reloads and status; has no option.")
    admin_key_file: Path | None = Field(None, description="A file with the admin key in its first line.")
    api_key: SecretStr | None = Field(
        None, description="The keys for chat, separated by commas; SET:KEY is for that set only. Has no option."
    )
    api_key_file: Path | None = Field(None, description="A file with the keys for chat in its first line.")
    allowed_roots: Roots | None = Field(
        None, description='Directories that reloads may read, separated by ":" (default: any).'
    )
    tls_cert: AbsolutePath | None = Field(None, description="A certificate chain (PEM), to serve https and wss.")
    tls_key: AbsolutePath | None = Field(None, description="The private key (PEM) of the certificate.")
    cors_origin: Origins | None = Field(
        None, description="Origins of pages that may call, separated by commas, or * (default: any port of localhost)."
    )
    allowed_hosts: Hosts | None = Field(
        None, description="Names of this machine in the Host of requests, separated by commas, or *."
    )
    check_isolated: bool = Field(False, description="Load files in a child process first; Linux only.")
    isolated_memory: int = Field(
        2 << 30, ge=1, description="Maximum bytes of memory of the child process of --check-isolated."
    )
    isolated_processes: int = Field(
        64, ge=1, description="Maximum number of processes that a file under --check-isolated may start."
    )

    file_deadline: float = Field(5, gt=0, description="Seconds to load one character file.")
    load_deadline: float = Field(60, gt=0, description="Seconds for a whole reload.")
    max_files: int = Field(20_000, ge=1, description="Maximum number of .py files, and of folders, in a directory.")
    max_bytes: int = Field(64 << 20, ge=1, description="Maximum bytes of source in a directory.")
    max_file_bytes: int = Field(1 << 20, ge=1, description="Maximum bytes of source in one file.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the options and the environment: another source costs as much as both, also where it has no file."""
        return init_settings, env_settings

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as e:
            raise SettingsError("\n".join(map(_explain, field_problems(e)))) from None

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("state") == "":  # as a path it would be the working directory
            raise ValueError("--state (CHARHOST_STATE) is empty: name a file, or leave it out")
        keys = {name: key_among(values, name) for name in _KEYS}
        return values | {name: key for name, key in keys.items() if key is not None}

    @property
    def sets(self) -> dict[str, Path]:
        """The directories of the sets beside the default one, by name."""
        return {name: Path(directory) for name, _, directory in (one.partition("=") for one in self.set)}

    @property
    def roots(self) -> tuple[Path, ...]:
        """The directories that reloads may read; empty if they may read any."""
        return tuple(Path(root).expanduser() for root in (self.allowed_roots or "").split(os.pathsep) if root)

    @property
    def llm_address(self) -> str | None:
        return None if self.llm_url == "none" else self.llm_url

    @property
    def llm_habits(self) -> frozenset[Habit]:
        return habits_in(self.llm_compat or "")

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys for chat; empty if chat needs none."""
        return tuple(self.key_sets)

    @property
    def key_sets(self) -> dict[str, frozenset[str] | None]:
        """The names of the sets that each key for chat is bound to; None: all."""
        names = {DEFAULT_SET, *self.sets}
        bound: dict[str, frozenset[str] | None] = {}
        for entry in self._key_entries:
            name, _, key = entry.partition(":")
            key, sets = (key.strip(), frozenset({name})) if name in names and key else (entry, None)
            before = bound.get(key, frozenset())
            bound[key] = None if sets is None or before is None else before | sets
        return bound

    @property
    def _key_entries(self) -> list[str]:
        text = self.api_key.get_secret_value() if self.api_key else ""
        return [entry.strip() for entry in text.split(",") if entry.strip()]

    def warnings(self) -> Iterator[str]:
        """Yield a line for each key that is easy to guess and for each unknown variable of the environment."""
        admin_keys = [self.admin_key.get_secret_value()] if self.admin_key else []
        for key_variable, keys in (("CHARHOST_ADMIN_KEY", admin_keys), ("CHARHOST_API_KEY", self.api_keys)):
            if any(len(key) < _SHORTEST_KEY for key in keys):
                yield f"{key_variable} has a key of fewer than {_SHORTEST_KEY} characters, which may be guessed"
        yield from unknown_variables(Settings.model_fields)

    @model_validator(mode="after")
    def _refuse_unusable(self) -> Self:
        for name in _KEYS:
            key: SecretStr | None = getattr(self, name)
            check_key(name, os.environ.get(variable(name)) if key is None else key.get_secret_value())
        for name in (DEFAULT_SET, *self.sets):
            if f"{name}:" in self._key_entries:
                raise ValueError(f"CHARHOST_API_KEY has no key after {name}: which is a set; write {name}:KEY")
        if self.allowed_roots is None and os.environ.get("CHARHOST_ALLOWED_ROOTS") is not None:
            raise ValueError("CHARHOST_ALLOWED_ROOTS is empty; name a directory, or unset it")
        if self.resume_set and self.state is None:
            reason = "the last set is kept there"
            raise ValueError(f"--resume-set (CHARHOST_RESUME_SET) needs --state FILE (CHARHOST_STATE): {reason}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both: set CHARHOST_TLS_CERT and CHARHOST_TLS_KEY")
        if self.admin_key is None and not is_loopback(self.host):
            danger = f"listening on {self.host} lets other machines run code through a reload"
            raise ValueError(f"{danger}: set CHARHOST_ADMIN_KEY, or listen on 127.0.0.1")
        return self


def _explain(problem: FieldProblem) -> str:
    if not problem.steps:
        return problem.text
    name = str(problem.steps[0])
    if problem.kind == "extra_forbidden":
        return f"{name}: there is no such setting"
    is_shown = name in Settings.model_fields and not is_secret(name) and "@" not in str(problem.found)
    found = "" if not is_shown else f", not {problem.found!r}"
    expected = _NUMBERS.get(problem.kind, problem.text)
    return f"{name} ({option(name)}, {variable(name)}): {expected}{found}"
