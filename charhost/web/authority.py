"""Who may do what: decided once, when a request or an upgrade arrives."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from charhost.settings import Settings, is_loopback
from charhost.web.problem import Problem

_KEY_PROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True)
class Authority:
    """What one request may do; `refusal` says why it may not do what admins may."""

    admin: bool
    refusal: Problem | None = None


class Gate:
    """Knows the keys, and who counts as local when there is none."""

    def __init__(self, settings: Settings) -> None:
        self._admin_key = settings.admin_key.get_secret_value().encode() if settings.admin_key else None

    def authority(self, request: web.Request) -> Authority:
        """Decide for one request.

        With an admin key nothing else counts. Without one an admin is whoever sits at this machine; a page of
        another site in a browser on it (`Origin`, or a `Host` it made to point here) is not, nor is anyone behind
        a proxy on it.
        """
        if self._admin_key is not None:
            key = _key(request)
            if key is not None and hmac.compare_digest(key.encode("utf-8", "surrogateescape"), self._admin_key):
                return Authority(admin=True)
            detail = "The admin key is wrong." if key else "The admin key is missing: send Authorization: Bearer KEY."
            return Authority(False, Problem(401, "invalid_key", detail, headers={hdrs.WWW_AUTHENTICATE: "Bearer"}))
        strange = _not_local(request)
        if strange is None:
            return Authority(admin=True)
        detail = f"Without CHARHOST_ADMIN_KEY this is for local callers only, and {strange}."
        return Authority(False, Problem(403, "forbidden", detail))


def _key(request: web.Request) -> str | None:
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    if hdrs.UPGRADE in request.headers:  # a browser can send a key with a WebSocket in no other way
        for offer in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
            if offer.strip().startswith(_KEY_PROTOCOL):
                return offer.strip().removeprefix(_KEY_PROTOCOL)
    return None


def _not_local(request: web.Request) -> str | None:
    """Say what makes the request foreign, or None."""
    for name in request.headers:
        if name.lower() == "forwarded" or name.lower().startswith("x-forwarded-"):
            return f"the request was forwarded ({name})"
    if not is_loopback(request.remote or ""):
        return "the request came from another machine"
    host = request.headers.get(hdrs.HOST, "")
    if not is_loopback(_hostname(host)):
        return "the Host header does not name this machine"
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if any(_netloc(origin) != host.lower() for origin in origins):
        return "the request was made by a page of another site (Origin)"
    return None


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
