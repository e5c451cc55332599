"""Authority: the rights of each request, decided once, when it arrives."""

import hashlib
import hmac
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from aiohttp import hdrs, web

from charhost.logs.fault_log import FaultLog
from charhost.memory.budget import MemoryBudget
from charhost.metrics import Metrics
from charhost.settings import Settings, is_loopback
from charhost.web.http.problems import Problem
from charhost.web.security.client_secrets import PREFIX, ClientSecret, ClientSecrets
from charhost.web.security.hosts import AllowedHosts, name_in
from charhost.web.security.origins import AllowedOrigins, is_of_host, is_of_other_site
from charhost.web.security.wrong_keys import WrongKeys

log = logging.getLogger("charhost.web")

# Headers that proxies, load balancers, tunnels and content delivery networks add, and clients do not send.
_OF_PROXIES = re.compile(
    r"(x-)?forwarded.*|x-proxy.*|proxy-connection|via|cdn-loop"
    r"|x-(real|original|envoy|azure|arr|amzn|vercel|appengine|cloud-trace)-.*|(cf|cloudfront|fastly|fly|ngrok|tailscale)-.*"
    r"|.*(client|connecting|originating|proxyuser|remote|source|user)-?(ip|ipv6|addr|address)",
    re.IGNORECASE,
)

KEY_PROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True)
class Authority:
    """The rights of one request; `refusal` is the error for an admin's request, `chat_refusal` the one for chat.

    `host_refusal` is the error for all but an admin's request, whose rule about the `Host` is stricter.
    `owner` is a digest of the key where chat needs one, else empty. `key_in_subprotocol` marks a browser's WebSocket,
    which cannot read the status of a refused upgrade. `has_wrong_key` is set if the request has a key that is not
    configured at all; a chat key at an admin's endpoint is not a wrong one.

    A client secret has no authority but to open the session of `secret`, which is None after that, and to resume one
    of `secret_owners`: one for each key that may have made it, with the sets of that key.

    `sets` are the names of the character sets that chat may use; None: all.
    """

    admin: bool
    refusal: Problem | None = None
    chat: bool = True
    chat_refusal: Problem | None = None
    host_refusal: Problem | None = None
    key_in_subprotocol: bool = False
    owner: str = ""
    has_wrong_key: bool = False
    secret: ClientSecret | None = None
    secret_owners: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    sets: frozenset[str] | None = None


class Gate:
    """Decides the authority of requests by the configured keys; one lives as long as its application."""

    def __init__(self, settings: Settings, metrics: Metrics, budget: MemoryBudget | None = None) -> None:
        self.wrong_keys = WrongKeys(metrics)
        self.refusals = FaultLog(log)
        self._origins = AllowedOrigins(settings.cors_origin)
        self._hosts = AllowedHosts(settings)
        self.secrets = ClientSecrets(budget)
        self._admin_keys = (settings.admin_key.get_secret_value(),) if settings.admin_key else ()
        # An admin key alone leaves chat open.
        self._chat_keys = (*settings.api_keys, *self._admin_keys) if settings.api_keys else ()
        owners = {_owner(key): sets for key, sets in settings.key_sets.items()}
        self._owners = owners | {_owner(key): None for key in self._chat_keys if key in self._admin_keys} or {"": None}
        self._without_key = _shared(self._owners.values())

    async def recall(self, request: web.Request) -> None:
        """Make the client secret of a request known, if another node of the fleet has made it."""
        key = _bearer_key(request) or _protocol_key(request)
        if key is not None and key.startswith(PREFIX) and not _is_among(key, (*self._chat_keys, *self._admin_keys)):
            await self.secrets.recall(secret_owner(owner, key) for owner in self._owners)

    def authority(self, request: web.Request) -> Authority:
        """Decide by the keys, the address and the page of the caller.

        If there is an admin key, it alone makes an admin. Otherwise every local caller is one, except a page of another
        site in a local browser (another `Origin`, or a `Host` that was made to resolve to this machine) and requests
        that a proxy forwarded. Chat is open to programs, and to pages of the allowed origins, unless API keys are
        configured; the admin key is one of them then.
        """
        bearer, protocol = _bearer_key(request), _protocol_key(request)
        key = bearer or protocol
        # A page whose name was made to resolve to this machine knows no key.
        host_refusal = None if self._chat_keys else self._hosts.refusal(request)
        is_known = _is_among(key, (*self._chat_keys, *self._admin_keys))
        if key is not None and key.startswith(PREFIX) and not is_known:
            origin_refusal = self._origin_refusal(request)
            return self._of_secret(key, bearer is None, origin_refusal, host_refusal)
        refusal, chat_refusal = self._admin_refusal(request, key), self._chat_refusal(request, key)
        return Authority(
            admin=refusal is None,
            refusal=refusal,
            chat=chat_refusal is None,
            chat_refusal=chat_refusal,
            host_refusal=host_refusal if refusal is not None else None,
            key_in_subprotocol=protocol is not None and bearer is None,
            owner=_owner(key) if key and self._chat_keys else "",
            has_wrong_key=key is not None and not is_known,
            sets=self._owners.get(_owner(key), self._without_key) if key else self._without_key,
        )

    def _of_secret(
        self, key: str, is_protocol: bool, origin_refusal: Problem | None, host_refusal: Problem | None
    ) -> Authority:
        owners = {secret_owner(owner, key): sets for owner, sets in self._owners.items()}
        secret = self.secrets.find(owners)
        detail = "A client secret opens one session over /v1/realtime, within ten minutes, and resumes it; no more."
        return Authority(
            admin=False,
            refusal=_unauthorized("invalid_key", detail),
            chat=False,
            chat_refusal=origin_refusal or _unauthorized("invalid_api_key", detail),
            host_refusal=host_refusal,
            key_in_subprotocol=is_protocol,
            owner=secret.owner if secret is not None else "",
            has_wrong_key=secret is None,
            secret=secret if origin_refusal is None else None,
            sets=secret.sets if secret is not None else self._without_key,
            secret_owners=owners if origin_refusal is None else {},
        )

    def _admin_refusal(self, request: web.Request, key: str | None) -> Problem | None:
        if self._admin_keys:
            if _is_among(key, self._admin_keys):
                return None
            if _is_among(key, self._chat_keys):
                return _unauthorized("invalid_key", "This key is for chat only; this endpoint needs the admin key.")
            return _unauthorized("invalid_key", _key_error("admin", key))
        reason = _why_not_local(request)
        detail = f"No CHARHOST_ADMIN_KEY is set, so only local callers are admins; {reason}."
        return Problem(403, "forbidden", detail) if reason else None

    def _chat_refusal(self, request: web.Request, key: str | None) -> Problem | None:
        if self._chat_keys and not _is_among(key, self._chat_keys):
            return _unauthorized("invalid_api_key", _key_error("API", key))
        return self._origin_refusal(request)

    def _origin_refusal(self, request: web.Request) -> Problem | None:
        if not self._origins.allow(request):
            origin = ", ".join(request.headers.getall(hdrs.ORIGIN, ["another site"]))[:200]
            detail = (
                f"Pages of {origin} (the Origin header) may not talk; --cors-origin (CHARHOST_CORS_ORIGIN) allows it."
            )
            return Problem(403, "origin_not_allowed", detail)
        return None


def _shared(sets: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """Return the sets that every key may use: those of a caller without a key, so that no key has to be left out."""
    bound = [names for names in sets if names is not None]
    return frozenset.intersection(*bound) if bound else None


def secret_owner(owner: str, secret: str) -> str:
    """Return the owner of the session of a client secret, which the *owner* of a key has made."""
    return hashlib.sha256(owner.encode() + _encoded(secret)).hexdigest()


def offers(request: web.Request) -> list[str]:
    """Return the subprotocols that a client offers; the header may occur several times."""
    lines = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    return [offer.strip() for line in lines for offer in line.split(",")]


def _is_among(key: str | None, known: tuple[str, ...]) -> bool:
    sent = _encoded(key or "")
    # Compare against every key, so that timing does not reveal which one matched.
    matches = [hmac.compare_digest(sent, one.encode()) for one in known]
    return any(matches)


def _owner(key: str) -> str:
    return hashlib.sha256(_encoded(key)).hexdigest()


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _key_error(kind: str, key: str | None) -> str:
    return f"The {kind} key is wrong." if key else f"The {kind} key is missing: send Authorization: Bearer KEY."


def _unauthorized(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _bearer_key(request: web.Request) -> str | None:
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _protocol_key(request: web.Request) -> str | None:
    if hdrs.UPGRADE in request.headers:  # the only way for a browser to send a key with a WebSocket
        for offer in offers(request):
            if offer.startswith(KEY_PROTOCOL):
                return offer.removeprefix(KEY_PROTOCOL)
    return None


@lru_cache(256)
def _is_of_proxy(header: str) -> bool:
    return _OF_PROXIES.fullmatch(header) is not None


def _why_not_local(request: web.Request) -> str | None:
    """Return the reason why a request does not count as local, or None."""
    for name in request.headers:
        if _is_of_proxy(name):
            return f"this request was forwarded ({name})"
    if not is_loopback(request.remote or ""):
        return "this request came from another machine"
    hosts = request.headers.getall(hdrs.HOST, [""])
    if not all(is_loopback(name_in(host)) for host in hosts):
        return "the Host header of this request names another machine"
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if not all(is_of_host(origin, hosts[0]) for origin in origins):
        return "this request was made by a page of another site (Origin)"
    if is_of_other_site(request):
        return "this request was made by a page of another site (Sec-Fetch-Site)"
    return None
