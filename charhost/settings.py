"""Settings: what an operator can choose. The only reader of the environment."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from charhost.errors import SettingsError

SessionPolicy = Literal["close", "close_affected", "keep"]
AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


def default_directory() -> Path:
    """Find the characters that come with charhost, in a checkout, an editable and a wheel install."""
    spec = importlib.util.find_spec("charhost.default_characters")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(__file__).parent.parent / "characters"


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
    host: str = Field("127.0.0.1", description="The address to listen on; others than loopback need an admin key.")
    port: int = Field(8000, ge=1, le=65535, description="The port to listen on.")
    admin_key: SecretStr | None = Field(None, description="The key for reload and status; there is no option for it.")
    admin_key_file: Path | None = Field(None, description="A file whose first line is the admin key.")
    character: str | None = Field(
        None, description="Whom a client talks to that names nobody; else the first good one."
    )
    sessions: SessionPolicy = Field(
        "close", description="What a reload does to open sessions: close, close_affected or keep."
    )
    watch: bool = Field(False, description="Reload by itself when a .py file in the directory changes.")
    watch_quiet: float = Field(0.025, gt=0, description="How many seconds files must stand still before a reload.")
    watch_interval: float = Field(30, gt=0, description="How many seconds between two comparisons of all content.")
    watch_poll: bool = Field(False, description="Look for changes, where the file system does not tell of them.")
    check_isolated: bool = Field(False, description="Load files in a child process first; Linux only.")
    isolated_memory: int = Field(2 << 30, ge=1, description="The most bytes of memory that child may have.")
    isolated_processes: int = Field(64, ge=1, description="The most processes that child may start.")
    log_file: AbsolutePath | None = Field(None, description="Write the log to this file too.")
    file_deadline: float = Field(5, gt=0, description="How many seconds one character file may take to load.")
    load_deadline: float = Field(60, gt=0, description="How many seconds a whole reload may take.")
    max_files: int = Field(20_000, ge=1, description="The most .py files, and the most folders, in a directory.")
    max_bytes: int = Field(64 << 20, ge=1, description="The most bytes of source in a directory.")
    max_file_bytes: int = Field(1 << 20, ge=1, description="The most bytes of source in one file.")
    close_grace: float = Field(2, gt=0, description="How many seconds a client may take to read its farewell.")
    shutdown_timeout: float = Field(
        3, gt=0, description="How many seconds a shutdown waits for a reload and for requests."
    )

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
            try:
                values[name.removesuffix("_file")] = _first_line(Path(values[name]))
            except (OSError, UnicodeDecodeError) as e:
                raise ValueError(f"{_variable(name)}: {e}") from e
        return values

    @model_validator(mode="after")
    def _guard_foreign_addresses(self) -> Self:
        if self.admin_key is None and os.environ.get("CHARHOST_ADMIN_KEY") == "":
            raise ValueError("CHARHOST_ADMIN_KEY is empty; set a key, or unset it")
        if self.admin_key is not None and not self.admin_key.get_secret_value().strip():
            raise ValueError("CHARHOST_ADMIN_KEY is empty; set a key, or unset it")
        if self.admin_key is None and not is_loopback(self.host):
            raise ValueError(
                f"listening on {self.host} lets other machines run code through a reload: "
                "set CHARHOST_ADMIN_KEY, or listen on 127.0.0.1"
            )
        return self


def _first_line(file: Path) -> str:
    return next(iter(file.read_text(encoding="utf-8").splitlines()), "").strip()


def _variable(name: str) -> str:
    return f"CHARHOST_{name.upper()}"


def _explain(error: dict[str, Any]) -> str:
    """Turn one pydantic error into a line that names the setting, what was found and what was expected."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"{name}: there is no such setting"
    found = "" if name.endswith("_key") else f", not {error['input']!r}"
    return f"{name} (--{name.replace('_', '-')}, {_variable(name)}): {error['msg']}{found}"
