"""The variables and options of the settings, and files with keys."""

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from charhost.settings.values import is_loopback
from charhost.text import display

NO_HEADER = "holds a line break or another character that no header can carry"

# Options of earlier versions: their variables must not keep an upgraded server from starting.
_REMOVED = ("CHARHOST_WRONG_KEYS", "CHARHOST_WRONG_KEY_INTERVAL")


def variable(name: str) -> str:
    return f"CHARHOST_{name.upper()}"


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def key_from_environment(variable: str) -> str | None:
    """Return the key in the variable that a character file names; raise `ValueError` if no header can carry it."""
    key = os.environ.get(variable, "").strip()
    if not key.isprintable():
        raise ValueError(f"{variable} {NO_HEADER}")
    return key or None


def proxy_for(url: str) -> str | None:
    """Return the proxy of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` for *url*; loopback has none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


def keyless_environment() -> dict[str, str]:
    """Return the environment for a child process that runs character files."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHARHOST_")}


def is_supervised() -> bool:
    """Return whether the process is started again when it ends: by systemd, or as the first one of a container."""
    return os.getpid() == 1 or "INVOCATION_ID" in os.environ


def notify_address() -> str | None:
    """Return the socket of the service manager, in the notation of Python (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    return address.replace("@", "\0", 1) if address.startswith("@") else address or None


def unknown_variables(settings: Iterable[str]) -> Iterator[str]:
    """Yield a line for each variable `CHARHOST_*` that belongs to none of the *settings*."""
    # Without the prefix, which would make all of them alike.
    known = [name.upper() for name in settings]
    for found in sorted(name for name in os.environ if name.upper().startswith("CHARHOST_")):
        if found.upper() in _REMOVED:
            yield f"{found} is no longer used; unset it"
        elif (name := found.upper().removeprefix("CHARHOST_")) not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {variable(nearest[0])}?" if nearest else ""
            yield f"{display(found)} is not a setting and has no effect{hint}"


def key_in(file: Path, name: str) -> str:
    """Return the first line of *file*; raise `ValueError` with the name of the setting."""
    where = f"{variable(name)} ({option(name)})"
    try:
        key = next(iter(file.read_text(encoding="utf-8").splitlines()), "").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{where}: {e}") from e
    if not key:
        raise ValueError(f"{where}: the first line of {file} is empty; write a key there")
    return key
