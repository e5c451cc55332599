"""Origins of web pages (RFC 6454)."""

import re
from urllib.parse import SplitResult, urlsplit

from aiohttp import hdrs, web

_LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_OWN_SITES = {"same-origin", "none"}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class AllowedOrigins:
    """The origins whose pages may call: the server's own, and the given ones, else every port of localhost."""

    def __init__(self, origins: str | None) -> None:
        given = (origins or "").split(",")
        self._given = {origin.strip().rstrip("/").lower() for origin in given if origin.strip()}

    @property
    def are_all(self) -> bool:
        return "*" in self._given

    def allow(self, request: web.Request) -> bool:
        """Return whether a request comes from no page, or from one that may call."""
        host = request.headers.get(hdrs.HOST, "")
        origins = request.headers.getall(hdrs.ORIGIN, [])
        # A link that a person follows: no page reads the response.
        is_visit = request.headers.get("Sec-Fetch-Mode") == "navigate"
        is_known = bool(origins) or self.are_all or is_visit or not is_of_other_site(request)
        return is_known and all(self._allows(origin, host) for origin in origins)

    def _allows(self, origin: str, host: str) -> bool:
        if self.are_all or is_of_host(origin, host):
            return True
        if not self._given:
            return _LOCAL.fullmatch(origin) is not None
        wanted = origin.rstrip("/").lower()
        return wanted in self._given or f"{wanted.partition(':')[0]}://*" in self._given


def is_of_other_site(request: web.Request) -> bool:
    """Return whether a page of another origin caused a request, by the headers of its browser (Fetch Metadata)."""
    return not _OWN_SITES.issuperset(request.headers.getall("Sec-Fetch-Site", []))


def is_of_host(origin: str, host: str) -> bool:
    """Return whether *origin* is that of the pages of *host*, by its `Host` header."""
    parts = split_url(origin)
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    found, own = (name.lower().removesuffix(port) for name in (parts.netloc, host))
    return found == own != ""


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL, all empty if it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
