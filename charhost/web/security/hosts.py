"""Names in `Host` headers."""

import ipaddress
import socket
from functools import lru_cache

from aiohttp import hdrs, web

from charhost.settings import Settings
from charhost.web.http.problems import Problem
from charhost.web.security.origins import split_url


@lru_cache(64)
def name_in(host: str) -> str:
    """Return the name or address in a `Host` header; empty if it has none, or more than a name and a port."""
    parts = split_url(f"//{host}")
    return (parts.hostname or "") if parts.netloc == host and "@" not in host else ""


class AllowedHosts:
    """The names of this machine, and those of `--allowed-hosts`.

    A page whose own name was made to resolve to this machine (DNS rebinding) has the origin of the server for its
    browser, but sends its name as the `Host`. An address cannot be rebound, so every address is allowed.
    """

    def __init__(self, settings: Settings) -> None:
        machine = socket.gethostname()
        given = (settings.allowed_hosts or "").split(",")
        names = "localhost", settings.host, machine, f"{machine.partition('.')[0]}.local", *given
        self._names = {name.strip().lower() for name in names if name.strip()}

    def refusal(self, request: web.Request) -> Problem | None:
        """Return the error of a request for another name; a browser always sends one."""
        for host in request.headers.getall(hdrs.HOST, []):
            name = name_in(host)
            if host and not self._allows(name):
                return Problem(421, "host_not_allowed", _detail(name or host))
        return None

    def _allows(self, name: str) -> bool:
        return "*" in self._names or name in self._names or name.endswith(".localhost") or _is_address(name)


def _detail(name: str) -> str:
    return (
        f"{name[:200]} (the Host header) is no name of this machine that the server knows; if it is one, start the "
        f"server with --allowed-hosts {name[:200]} (CHARHOST_ALLOWED_HOSTS)."
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
