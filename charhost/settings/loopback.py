"""Loopback: the addresses of this machine itself."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=256)  # of a request there are three: where it came from, its host, and that of the model
def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
