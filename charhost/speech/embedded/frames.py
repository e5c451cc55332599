"""The frames of the pipes between the server and an engine: the length of a map in MessagePack, and the map."""

import asyncio
import struct
from typing import Any, BinaryIO

import msgpack

# Ten minutes of sound at 48 kHz, or the largest file that may be uploaded, and some more.
MOST_BYTES = 64 << 20

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")


def frame(message: Message) -> bytes:
    body: bytes = msgpack.packb(message)
    return _LENGTH.pack(len(body)) + body


def read(stream: BinaryIO) -> Message | None:
    """Return the next message, None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return _message(body) if len(body) == length else None


async def receive(stream: asyncio.StreamReader) -> Message:
    """Return the next message; raises `EOFError` at the end, and `ValueError` for other bytes."""
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    if length > MOST_BYTES:
        raise ValueError(f"a message of {length:,} bytes: expected at most {MOST_BYTES:,}")
    return _message(await stream.readexactly(length))


def _message(body: bytes) -> Message:
    message = msgpack.unpackb(body)
    if not isinstance(message, dict):
        raise ValueError(f"a {type(message).__name__}: expected a map")
    return message
