"""The variables and options of the settings, and files with keys."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from charhost.settings.loopback import is_loopback
from charhost.text import display

# Keys to charhost itself: an empty one would open it.
_OWN_KEYS = ("admin_key", "api_key")
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


def admin_key() -> str | None:
    """Return the admin key as `Settings` has it, without the other settings; raise `ValueError` for an unusable one."""
    prefix = variable("")
    given = {name.upper(): value for name, value in os.environ.items() if value}
    values = {name.removeprefix(prefix).lower(): value for name, value in given.items() if name.startswith(prefix)}
    key: str | None = key_among(values, "admin_key")
    check_key("admin_key", os.environ.get(variable("admin_key")) if key is None else key)
    return key


def key_among(values: Mapping[str, Any], name: str) -> Any:
    """Return the key of that name in the values of settings, or in its file; raise `ValueError` if there are both."""
    key, file = values.get(name), values.get(f"{name}_file")
    if key and file:
        raise ValueError(f"both {variable(name)} and {variable(name)}_FILE are set; use one")
    key = key_in(Path(file), f"{name}_file") if file else key
    # A line break behind a key, as files of other systems have it, belongs to no header.
    return key.strip() if isinstance(key, str) else key


def check_key(name: str, given: str | None) -> None:
    """Raise `ValueError` for a key that is empty, where it may not be, or that no header can carry."""
    if name in _OWN_KEYS and given is not None and not given.replace(",", " ").strip():
        raise ValueError(f"{variable(name)} is empty; set a key, or unset it")
    if given is not None and not given.strip().isprintable():
        raise ValueError(f"{variable(name)} {NO_HEADER}")


def may_force_terminal() -> bool:
    """Return whether a variable may ask for the output of a terminal where there is none (https://force-color.org)."""
    return any(name in os.environ for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))


def proxy_for(url: str) -> str | None:
    """Return the proxy of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` for *url*; loopback has none."""
    from urllib.request import getproxies, proxy_bypass  # the commands start without it

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
            from difflib import get_close_matches

            nearest = get_close_matches(name, known, n=1)
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
