"""The state of a TCP connection, as the kernel has it."""

import asyncio
import socket
import struct
import sys
from typing import Literal

# Where `struct tcp_info` of Linux has these fields.
_FIELDS = {"last_data_received": (52, "=I"), "bytes_acknowledged": (120, "=Q")}


def waiting_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes wait in a transport for its client to take some."""
    return 0 if _has_gone(transport) else transport.get_write_buffer_size()


def tcp_info(
    transport: asyncio.BaseTransport | None, field: Literal["last_data_received", "bytes_acknowledged"]
) -> int | None:
    """Return a field, of milliseconds or bytes; None where the kernel does not have it, or the connection is lost."""
    if transport is None or _has_gone(transport) or sys.platform != "linux":
        return None
    connection = transport.get_extra_info("socket")
    if connection is None:
        return None
    offset, form = _FIELDS[field]
    size = offset + struct.calcsize(form)
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    except OSError:
        return None
    return int(struct.unpack_from(form, info, offset)[0]) if len(info) == size else None


def _has_gone(transport: asyncio.BaseTransport) -> bool:
    """Return whether a TLS transport was closed twice, as aiohttp does: its other methods fail then."""
    try:
        transport.get_extra_info("socket")
    except AttributeError:
        return True
    return False
