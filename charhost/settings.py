"""Settings: what an operator can choose. The only reader of the environment."""

from __future__ import annotations

import difflib
import importlib.util
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from charhost.errors import SettingsError
from charhost.report import SessionPolicy
from charhost.text import display

# What pydantic says of text that is no number tells how it reads it.
_NUMBERS = {"int_parsing": "expected a whole number", "float_parsing": "expected a number"}
# The first setting of each group; the fields of `Settings` follow the groups.
_GROUPS = {
    "directory": "Characters",
    "host": "Server",
    "sessions": "Sessions",
    "llm_url": "Model",
    "watch": "Watching",
    "admin_key": "Security",
    "file_deadline": "Limits",
}
# Options of earlier versions: their variables must not keep an upgraded server from starting.
_REMOVED = ("CHARHOST_WRONG_KEYS", "CHARHOST_WRONG_KEY_INTERVAL")
_SHORTEST_KEY = 16
AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


def default_directory() -> Path:
    """Return the directory of the characters that come with charhost."""
    return project_folder("charhost.default_characters", "characters")


def project_folder(package: str, folder: str) -> Path:
    """Return a folder of the project, which a wheel installs as *package*; a checkout has it beside the code."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(__file__).parent.parent / folder


def is_loopback(host: str) -> bool:
    """Say whether *host* is `localhost` or a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a URL such as http://127.0.0.1:11434/v1")
    if parts.username or parts.password:
        raise ValueError("a URL must not hold a key: set CHARHOST_LLM_KEY")
    return url.rstrip("/")


def _origins(text: str) -> str:
    for origin in map(str.strip, text.split(",")):
        parts = urlsplit(origin)
        is_origin = parts.scheme in ("http", "https") and parts.netloc and parts.path in ("", "/")
        if origin != "*" and not is_origin:
            raise ValueError("expected origins such as https://chat.example.com, or *")
    return text


def _roots(text: str) -> str:
    if not all(os.path.isabs(os.path.expanduser(root)) for root in text.split(os.pathsep)):
        raise ValueError(f"expected absolute paths with {os.pathsep} between them")
    return text


def settings_by_group() -> dict[str, list[str]]:
    """Return the names of the settings of each group, in order."""
    groups: dict[str, list[str]] = {}
    names: list[str] = []
    for name in Settings.model_fields:
        if name in _GROUPS:
            names = groups.setdefault(_GROUPS[name], [])
        names.append(name)
    return groups


def is_secret(name: str) -> bool:
    """Say whether a setting is a key, which has no option and is never shown."""
    return SecretStr in get_args(Settings.model_fields[name].annotation)


def key_from_environment(variable: str) -> str | None:
    """Read the key that a character file names by its variable."""
    return os.environ.get(variable)


def environment_without_keys() -> dict[str, str]:
    """Copy the environment for a process that runs character files and nothing else."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHARHOST_")}


class Settings(BaseSettings):
    """Everything an operator can set, each as an option of `charhost serve` and as `CHARHOST_<NAME>`.

    Keys have no option: a command line can be read by every user of the machine. Each `…_key` may come from a
    file instead, named by `CHARHOST_…_KEY_FILE`. Sizes are in bytes, times in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="CHARHOST_", frozen=True, extra="forbid", env_ignore_empty=True)

    directory: AbsolutePath = Field(
        default_factory=default_directory, description="The character directory to start with."
    )
    character: str | None = Field(
        None, description="Whom a client talks to that names nobody; else the first good one."
    )
    prompt_deadline: float = Field(10, gt=0, description="How many seconds a character may take to make its prompt.")
    tool_deadline: float = Field(30, gt=0, description="How many seconds one tool call of a character may take.")
    tool_rounds: int = Field(8, ge=1, description="How many times in one answer a model may call for tools.")

    host: str = Field("127.0.0.1", description="The address to listen on; others than loopback need an admin key.")
    port: int = Field(8000, ge=1, le=65535, description="The port to listen on.")
    state: AbsolutePath | None = Field(
        None, description="Keep history, sets and conversations in this file, across restarts."
    )
    resume_set: bool = Field(
        False, description="Begin with the set that served last, unless its directory has changed since; needs --state."
    )
    log_file: AbsolutePath | None = Field(None, description="Write the log to this file too.")
    shutdown_timeout: float = Field(
        3, gt=0, description="How many seconds a shutdown waits for a reload and for requests."
    )

    sessions: SessionPolicy = Field(
        "close", description="What a reload does to open sessions: close, close_affected, follow or keep."
    )
    drain: float = Field(0, ge=0, description="How many seconds a session in the middle of an answer may stay.")
    max_reconnects_per_second: float = Field(
        200, gt=0, description="How many clients a second are told to come back after a reload."
    )
    close_grace: float = Field(2, gt=0, description="How many seconds a client may take to read its farewell.")
    resume_ttl: float = Field(600, ge=0, description="How many seconds a lost client may take to come back.")
    resume_max: int = Field(10_000, ge=0, description="The most conversations that wait for that.")
    max_sessions: int = Field(10_000, ge=1, description="The most WebSockets at a time; one more gets 503.")

    llm_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description="An OpenAI-compatible server, such as http://127.0.0.1:11434/v1; else an offline stand-in."
    )
    llm_model: str | None = Field(None, description="The model to ask it for.")
    llm_key: SecretStr | None = Field(None, description="The key to send to it; there is no option for it.")
    llm_key_file: Path | None = Field(None, description="A file whose first line is that key.")
    llm_concurrency: int = Field(64, ge=1, description="The most requests to models at a time; others wait.")
    llm_wait: float = Field(30, gt=0, description="How many seconds a request may wait for that.")
    llm_connect_deadline: float = Field(10, gt=0, description="How many seconds connecting to a model may take.")
    llm_first_deadline: float = Field(120, gt=0, description="How many seconds a model may take to begin to answer.")
    llm_idle_deadline: float = Field(30, gt=0, description="How many seconds a model may pause in an answer.")
    history_tokens: int = Field(8192, ge=1, description="The most tokens of a conversation that a model is sent.")

    watch: bool = Field(False, description="Reload by itself when a .py file in the directory changes.")
    watch_quiet: float = Field(0.025, gt=0, description="How many seconds files must stand still before a reload.")
    watch_interval: float = Field(30, gt=0, description="How many seconds between two comparisons of all content.")
    watch_poll: bool = Field(False, description="Look for changes, where the file system does not tell of them.")

    admin_key: SecretStr | None = Field(None, description="The key for reload and status; there is no option for it.")
    admin_key_file: Path | None = Field(None, description="A file whose first line is the admin key.")
    api_key: SecretStr | None = Field(None, description="The key for talking, or several with commas; no option.")
    api_key_file: Path | None = Field(None, description="A file whose first line is that key.")
    allowed_roots: Annotated[str, AfterValidator(_roots)] | None = Field(
        None, description="Below which directories a reload may read, with : between them; else anywhere."
    )
    tls_cert: AbsolutePath | None = Field(None, description="A certificate chain (PEM): serve https and wss.")
    tls_key: AbsolutePath | None = Field(None, description="The private key (PEM) of that certificate.")
    cors_origin: Annotated[str, AfterValidator(_origins)] | None = Field(
        None, description="Origins whose pages may call, with commas, or *; else localhost on any port."
    )
    check_isolated: bool = Field(False, description="Load files in a child process first; Linux only.")
    isolated_memory: int = Field(2 << 30, ge=1, description="The most bytes of memory that child may have.")
    isolated_processes: int = Field(64, ge=1, description="The most processes that child may start.")

    file_deadline: float = Field(5, gt=0, description="How many seconds one character file may take to load.")
    load_deadline: float = Field(60, gt=0, description="How many seconds a whole reload may take.")
    max_files: int = Field(20_000, ge=1, description="The most .py files, and the most folders, in a directory.")
    max_bytes: int = Field(64 << 20, ge=1, description="The most bytes of source in a directory.")
    max_file_bytes: int = Field(1 << 20, ge=1, description="The most bytes of source in one file.")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as e:
            raise SettingsError("\n".join(_explain(dict(error)) for error in e.errors())) from None

    @model_validator(mode="before")
    @classmethod
    def _read_key_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in [n for n in values if n.endswith("_key_file") and values[n]]:
            if values.get(name.removesuffix("_file")):
                raise ValueError(f"both {_variable(name.removesuffix('_file'))} and {_variable(name)} are set; use one")
            values[name.removesuffix("_file")] = _key_in(Path(values[name]), name)
        return values

    @model_validator(mode="before")
    @classmethod
    def _refuse_an_empty_path(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("state") == "":  # as a path it would be the working directory
            raise ValueError("--state (CHARHOST_STATE) is empty: name a file, or leave it out")
        return values

    @property
    def roots(self) -> tuple[Path, ...]:
        """The directories below which a reload may read; none of them: anywhere."""
        return tuple(Path(root).expanduser() for root in (self.allowed_roots or "").split(os.pathsep) if root)

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys that let somebody talk; none of them: everybody may."""
        text = self.api_key.get_secret_value() if self.api_key else ""
        return tuple(key.strip() for key in text.split(",") if key.strip())

    def warnings(self) -> Iterator[str]:
        """Yield a line for each key that is easy to guess and for each unknown variable of the environment."""
        admin_keys = [self.admin_key.get_secret_value()] if self.admin_key else []
        for variable, keys in (("CHARHOST_ADMIN_KEY", admin_keys), ("CHARHOST_API_KEY", self.api_keys)):
            if any(len(key) < _SHORTEST_KEY for key in keys):
                yield f"{variable} has a key of fewer than {_SHORTEST_KEY} characters, which may be guessed"
        yield from _unknown_variables()

    @model_validator(mode="after")
    def _refuse_empty_keys(self) -> Self:
        for name in ("admin_key", "api_key"):
            key: SecretStr | None = getattr(self, name)
            given = os.environ.get(_variable(name)) if key is None else key.get_secret_value()
            if given is not None and not given.replace(",", " ").strip():
                raise ValueError(f"{_variable(name)} is empty; set a key, or unset it")
            if given is not None and not given.isprintable():
                raise ValueError(f"{_variable(name)} holds a line break or another character that no header can carry")
        return self

    @model_validator(mode="after")
    def _refuse_empty_roots(self) -> Self:
        if self.allowed_roots is None and os.environ.get(_variable("allowed_roots")) is not None:
            raise ValueError(f"{_variable('allowed_roots')} is empty; name a directory, or unset it")
        return self

    @model_validator(mode="after")
    def _keep_what_is_resumed(self) -> Self:
        if self.resume_set and self.state is None:
            raise ValueError(
                "--resume-set (CHARHOST_RESUME_SET) needs --state FILE (CHARHOST_STATE): the last set is kept there"
            )
        return self

    @model_validator(mode="after")
    def _pair_certificate_and_key(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both: set CHARHOST_TLS_CERT and CHARHOST_TLS_KEY")
        return self

    @model_validator(mode="after")
    def _guard_foreign_addresses(self) -> Self:
        if self.admin_key is None and not is_loopback(self.host):
            raise ValueError(
                f"listening on {self.host} lets other machines run code through a reload: "
                "set CHARHOST_ADMIN_KEY, or listen on 127.0.0.1"
            )
        return self


def _unknown_variables() -> Iterator[str]:
    known = [_variable(name) for name in Settings.model_fields]
    for variable in sorted(name for name in os.environ if name.upper().startswith("CHARHOST_")):
        if variable.upper() in _REMOVED:
            yield f"{variable} is no longer used; unset it"
        elif variable.upper() not in known:
            nearest = difflib.get_close_matches(variable.upper(), known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            yield f"{display(variable)} is not a setting and has no effect{hint}"


def _key_in(file: Path, name: str) -> str:
    """Read the key in the file that the setting *name* names; raises `ValueError`."""
    where = f"{_variable(name)} ({_option(name)})"
    try:
        key = next(iter(file.read_text(encoding="utf-8").splitlines()), "").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{where}: {e}") from e
    if not key:
        raise ValueError(f"{where}: the first line of {file} is empty; write a key there")
    return key


def _variable(name: str) -> str:
    return f"CHARHOST_{name.upper()}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _explain(error: dict[str, Any]) -> str:
    """Turn one pydantic error into a line that names the setting, what was found and what was expected."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"{name}: there is no such setting"
    is_shown = name in Settings.model_fields and not is_secret(name) and "@" not in str(error["input"])
    found = "" if not is_shown else f", not {error['input']!r}"
    expected = _NUMBERS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    return f"{name} ({_option(name)}, {_variable(name)}): {expected}{found}"
