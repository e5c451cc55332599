"""Types of the settings' values, and their checks."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, TypeAdapter

from charhost.settings.habit import Habit


def default_directory() -> Path:
    return project_folder("charhost.default_characters", "characters")


def project_folder(package: str, folder: str) -> Path:
    """Return a folder of the project, which a wheel installs as *package*; a checkout has it beside the code."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(__file__).parents[2] / folder


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


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


def habits_in(text: str) -> frozenset[Habit]:
    """Return the habits that are named in *text*, separated by commas; raises `ValueError`."""
    return TypeAdapter(frozenset[Habit]).validate_python([name for name in map(str.strip, text.split(",")) if name])


def _habits(text: str) -> str:
    try:
        habits_in(text)
    except ValueError:
        raise ValueError(f"expected names of {', '.join(Habit)}, separated by commas") from None
    return text


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as e:  # HOME is not set, and the user has no entry in passwd
        raise ValueError("~ has no meaning here: this user has no home directory; name the whole path") from e


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Habits = Annotated[str, AfterValidator(_habits)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Origins = Annotated[str, AfterValidator(_origins)]
Roots = Annotated[str, AfterValidator(_roots)]
