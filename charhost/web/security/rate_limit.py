"""Throttle: how often somebody may fail."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict

# A network of IPv6 addresses is what one client has there.
_PREFIX = 64


class Throttle:
    """Counts failures by remote address: *burst* at once, then one in *interval* seconds.

    What it remembers of an address is one number, the time at which all its failures are forgiven (the generic cell
    rate algorithm), and of so many addresses only: beyond that the one that failed the longest ago is forgotten.
    """

    def __init__(self, burst: int, interval: float, most: int = 10_000) -> None:
        self._burst = burst
        self._interval = interval
        self._most = most
        self._forgiven: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._forgiven)

    def fail(self, remote: str | None) -> float:
        """Note a failure; answers for how many seconds it was one too many, 0 if it was not."""
        client, now = _client(remote), time.monotonic()
        before = max(self._forgiven.pop(client, now), now)
        after = before + self._interval
        wait = after - now - self._burst * self._interval
        # One too many costs nothing more: who goes on is not kept out for longer.
        self._forgiven[client] = before if wait > 0 else after
        if len(self._forgiven) > self._most:
            self._forgiven.popitem(last=False)
        return max(wait, 0.0)


def _client(remote: str | None) -> str:
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _PREFIX), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
