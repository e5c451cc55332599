"""Formats of audio: 16 bits and G.711 of clients, and the rates of engines."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from charhost.speech.resampler import Resampler, Samples
from charhost.speech.speech import SPOKEN_RATE

Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
# What clients may send: unmute's send Ogg/Opus.
SentEncoding = Encoding | Literal["audio/ogg"]


class AudioType(NamedTuple):
    """The bytes of a sample and the samples per second of a format."""

    width: int
    rate: int


TYPES: dict[Encoding, AudioType] = {
    "audio/pcm": AudioType(2, SPOKEN_RATE),
    "audio/pcmu": AudioType(1, 8_000),
    "audio/pcma": AudioType(1, 8_000),
}

# A sample of silence.
SILENT: dict[Encoding, bytes] = {"audio/pcm": b"\0\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}


def _ulaw_decoded() -> Samples:
    """Return the sample of each code (ITU-T G.711, µ-law)."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code >> 4) & 7)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _alaw_decoded() -> Samples:
    """Return the sample of each code (ITU-T G.711, A-law)."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    step = (code & 0x0F).astype(np.int32) << 4
    segment = ((code >> 4) & 7).astype(np.int32)
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _ulaw_encoded() -> NDArray[np.uint8]:
    """Return the code of each sample, as an unsigned index."""
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    sign = np.where(sample < 0, 0x7F, 0xFF)
    magnitude = np.minimum(np.abs(sample), 8_159) + 33
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    return (np.where(segment >= 8, 0x7F, code) ^ sign).astype(np.uint8)


def _alaw_encoded() -> NDArray[np.uint8]:
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    mask = np.where(sample >= 0, 0xD5, 0x55)
    magnitude = np.where(sample >= 0, sample, -sample - 1)
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    return (code ^ mask).astype(np.uint8)


_DECODED = {"audio/pcmu": _ulaw_decoded(), "audio/pcma": _alaw_decoded()}
_ENCODED = {"audio/pcmu": _ulaw_encoded(), "audio/pcma": _alaw_encoded()}


class Decoder:
    """Makes the audio that one client sends into samples at the rate of engines that hear."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding: Encoding = encoding
        self._resampler = Resampler(TYPES[encoding].rate)
        self._rest = b""

    def decode(self, data: bytes) -> Samples:
        """Return the next samples; half a sample waits for its other half."""
        data = self._rest + data
        whole = len(data) - len(data) % TYPES[self.encoding].width
        self._rest = data[whole:]
        return self._resampler.resample(samples_of(self.encoding, data[:whole]))


class Encoder:
    """Makes the sound of one item into the format of its client."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding: Encoding = encoding
        self._resample = soxr.ResampleStream(SPOKEN_RATE, TYPES[encoding].rate, 1, dtype="int16", quality="HQ")

    def encode(self, pcm: bytes, last: bool = False) -> bytes:
        """Return the next bytes; the resampler holds some back until the last call."""
        if self.encoding == "audio/pcm":
            return pcm
        samples = self._resample.resample_chunk(np.frombuffer(pcm, "<i2"), last=last)
        return _ENCODED[self.encoding][np.asarray(samples, np.int16).view(np.uint16)].tobytes()


def samples_of(encoding: Encoding, data: bytes) -> Samples:
    """Return the samples of whole bytes, at the rate of their format."""
    if encoding == "audio/pcm":
        return np.frombuffer(data, "<i2")
    return _DECODED[encoding][np.frombuffer(data, np.uint8)]
