"""WebSocket frames as bytes."""

from __future__ import annotations

MASK = b"\0\0\0\0"  # leaves the payload as it is
CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A frame as a client sends it."""
    return head(opcode, len(payload), final=final) + payload


def head(opcode: int, size: int, *, final: bool = True) -> bytes:
    """The beginning of a frame with *size* bytes of payload."""
    first = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        return first + bytes([0x80 | size]) + MASK
    if size < 1 << 16:
        return first + bytes([0x80 | 126]) + size.to_bytes(2, "big") + MASK
    return first + bytes([0x80 | 127]) + size.to_bytes(8, "big") + MASK


def handshake(port: int, path: str = "/v1/realtime?dialect=ga") -> bytes:
    """Return the request for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
