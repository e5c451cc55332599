"""The messages of moshi-server: maps in MessagePack, each with its `type`."""

import math
from typing import Any

import msgpack
import numpy as np

from charhost.speech.failure import SpeechError

RATE = 24_000
FRAME = 1920  # samples, 80 ms
FRAMES_PER_SECOND = RATE / FRAME

Message = dict[str, Any]

# MessagePack writes a float of 32 bits as 0xca and its four bytes, the high one first: an array of such records is the
# same bytes that a packer makes of a list, in a twentieth of the time.
_FLOAT = np.dtype([("mark", "u1"), ("value", ">f4")])
_SHORTEST = 16  # shorter arrays have another header
_HEAD: bytes = b"\x82" + msgpack.packb({"type": "Audio"})[1:] + msgpack.packb("pcm")


def audio(pcm: bytes) -> bytes:
    """Return the message of at least 16 samples of 16 bits, 24 kHz."""
    samples = np.frombuffer(pcm, "<i2")
    records = np.empty(len(samples), _FLOAT)
    records["mark"] = 0xCA
    records["value"] = samples / np.float32(32768)
    head = b"\xdc" + len(samples).to_bytes(2) if len(samples) >= _SHORTEST else bytes([0x90 + len(samples)])
    return b"".join((_HEAD, head, records.tobytes()))


def packed(kind: str, **fields: Any) -> bytes:
    message: bytes = msgpack.packb({"type": kind, **fields})
    return message


def unpacked(data: Any) -> Message:
    """Return a message of the server; raises `SpeechError`, also for its own errors."""
    try:
        message = msgpack.unpackb(data)
        kind = message["type"]
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as e:
        raise SpeechError("malformed", "moshi-server sent what is no message.") from e
    if kind == "Error":
        why = message.get("message")
        is_full = isinstance(why, str) and "no free channels" in why
        text = "moshi-server has no free channels." if is_full else "moshi-server failed."
        raise SpeechError("busy" if is_full else "refused", text)
    found: Message = message
    return found


def number_of(value: Any) -> float:
    """Return a finite number of a message; raises `SpeechError` for any other value."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise SpeechError("malformed", "moshi-server sent a time or a probability that is none.")


def pcm_of(message: Message) -> bytes:
    """Return the sound of an `Audio` message as samples of 16 bits."""
    floats = message.get("pcm")
    try:
        samples = np.asarray(floats if isinstance(floats, list) else [floats], np.float32)
    except (TypeError, ValueError) as e:
        raise SpeechError("malformed", "moshi-server sent sound that is none.") from e
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise SpeechError("malformed", "moshi-server sent sound that is none.")
    return bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
