"""Who may do what: decided once, when a request or an upgrade arrives."""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from charhost.metrics import Metrics
from charhost.settings import Settings, is_loopback
from charhost.web.problems import Problem
from charhost.web.security.rate_limit import Throttle

KEY_PROTOCOL = "openai-insecure-api-key."

_TALKS_ONLY = "This key lets its holder talk; what was asked for needs the admin key."

KeyKind = Literal["admin", "chat"]


@dataclass(frozen=True)
class Authority:
    """What one request may do; `refusal` says why it may not do what admins may, `chat_refusal` why it may not talk.

    `owner` is a digest of the key, where talking needs one. With `key_in_subprotocol` the caller sent it in the way of
    pages, which cannot read the status of a refused upgrade.

    `guesses` says that the caller sent a key, and that it is none of ours.
    """

    admin: bool
    refusal: Problem | None = None
    chat: bool = True
    chat_refusal: Problem | None = None
    key_in_subprotocol: bool = False
    owner: str = ""
    guesses: bool = False


class Gate:
    """Knows the keys, who counts as local when there is none, and who has sent too many wrong ones."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._failures = metrics.auth_failures
        self._throttle = Throttle(settings.wrong_keys, settings.wrong_key_interval)
        self._admin_keys = (settings.admin_key.get_secret_value(),) if settings.admin_key else ()
        # Where anybody may talk, an admin key changes nothing about that.
        self._chat_keys = (*settings.api_keys, *self._admin_keys) if settings.api_keys else ()

    def authority(self, request: web.Request) -> Authority:
        """Decide for one request.

        With an admin key nothing else counts. Without one an admin is whoever sits at this machine; a page of
        another site in a browser on it (`Origin`, or a `Host` it made to point here) is not, nor is anyone behind
        a proxy on it. Everybody may talk, unless there are keys for that; an admin key is one of them then.
        """
        bearer, protocol = _bearer_key(request), _protocol_key(request)
        key = bearer or protocol
        refusal = self._admin_refusal(request, key)
        chat_refusal = self._chat_refusal(key)
        in_subprotocol = protocol is not None and bearer is None
        owner = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest() if key and self._chat_keys else ""
        guesses = key is not None and not _is_among(key, (*self._chat_keys, *self._admin_keys))
        return Authority(refusal is None, refusal, chat_refusal is None, chat_refusal, in_subprotocol, owner, guesses)

    def turn_away(self, refusal: Problem, authority: Authority, kind: KeyKind, remote: str | None) -> Problem:
        """Answer what to tell a caller that is refused: after too many wrong keys, to wait.

        Only who is refused comes here. The right key always opens, or whoever shares an address with others, as
        behind a proxy, could lock them out. A key that would open something else is no wrong one.
        """
        if refusal.status != 401 or not authority.guesses:
            return refusal
        self._failures.labels(kind).inc()
        wait = math.ceil(self._throttle.fail(remote))
        if wait == 0:
            return refusal
        # OpenAI's clients ask again after a 429 by themselves, with the same key.
        headers = {hdrs.RETRY_AFTER: str(wait), "x-should-retry": "false"}
        return Problem(429, "too_many_wrong_keys", f"Too many wrong keys; try again in {wait} s.", headers=headers)

    def _admin_refusal(self, request: web.Request, key: str | None) -> Problem | None:
        if self._admin_keys:
            if _is_among(key, self._admin_keys):
                return None
            may_talk = _is_among(key, self._chat_keys)
            return _unauthorized("invalid_key", _TALKS_ONLY if may_talk else _what_is_wrong("admin", key))
        strange = _not_local(request)
        detail = f"Without CHARHOST_ADMIN_KEY this is for local callers only, and {strange}."
        return Problem(403, "forbidden", detail) if strange else None

    def _chat_refusal(self, key: str | None) -> Problem | None:
        if not self._chat_keys or _is_among(key, self._chat_keys):
            return None
        return _unauthorized("invalid_api_key", _what_is_wrong("API", key))


def offers(request: web.Request) -> list[str]:
    """List the subprotocols that a client offers, in however many lines of the header."""
    lines = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    return [offer.strip() for line in lines for offer in line.split(",")]


def _is_among(key: str | None, known: tuple[str, ...]) -> bool:
    """Compare with all of them, whatever the first ones say: the time it takes tells nothing."""
    sent = (key or "").encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(sent, one.encode()) for one in known]
    return any(matches)


def _what_is_wrong(kind: str, key: str | None) -> str:
    return f"The {kind} key is wrong." if key else f"The {kind} key is missing: send Authorization: Bearer KEY."


def _unauthorized(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _bearer_key(request: web.Request) -> str | None:
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _protocol_key(request: web.Request) -> str | None:
    if hdrs.UPGRADE in request.headers:  # a browser can send a key with a WebSocket in no other way
        for offer in offers(request):
            if offer.startswith(KEY_PROTOCOL):
                return offer.removeprefix(KEY_PROTOCOL)
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
