"""WAV: the header of a stream that is read, and whole files that are written."""

import struct

import numpy as np
import soxr

from charhost.speech.failure import SpeechError
from charhost.speech.speech import SPOKEN_RATE

_FORMAT = struct.Struct("<HHIIHH")
_LONGEST_HEADER = 1 << 16


def wav(pcm: bytes, rate: int) -> bytes:
    """Return a file of mono sound, 16 bits."""
    form = _FORMAT.pack(1, 1, rate, 2 * rate, 2, 16)
    parts = (b"RIFF", struct.pack("<I", 36 + len(pcm)), b"WAVEfmt ", struct.pack("<I", len(form)), form)
    return b"".join((*parts, b"data", struct.pack("<I", len(pcm)), pcm))


class PcmReader:
    """Makes the bytes of a stream into sound at 24 kHz: raw samples at that rate, or WAV with a header of its own."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_open = False
        self._channels = 1
        self._resample: soxr.ResampleStream | None = None

    def take(self, data: bytes, last: bool = False) -> bytes:
        """Return the next samples; raises `SpeechError` for a WAV that is not 16 bits."""
        self._rest += data
        if not self._is_open and not self._open(last):
            return b""
        width = 2 * self._channels
        whole = len(self._rest) - len(self._rest) % width
        pcm, self._rest = self._rest[:whole], self._rest[whole:]
        if self._channels > 1:
            pcm = np.frombuffer(pcm, "<i2").reshape(-1, self._channels).mean(axis=1).astype("<i2").tobytes()
        if self._resample is None:
            return pcm
        return bytes(self._resample.resample_chunk(np.frombuffer(pcm, "<i2"), last=last).astype("<i2").tobytes())

    def _open(self, last: bool) -> bool:
        """Read the header, if there is one; return whether it is whole."""
        if len(self._rest) < 4 and not last:
            return False
        if not self._rest.startswith(b"RIFF"):
            self._is_open = True
            return True
        at, form = 12, b""
        while len(self._rest) >= at + 8:
            name, length = self._rest[at : at + 4], int.from_bytes(self._rest[at + 4 : at + 8], "little")
            if name == b"data":
                self._use(form)
                self._rest, self._is_open = self._rest[at + 8 :], True
                return True
            form = self._rest[at + 8 : at + 8 + length] if name == b"fmt " else form
            at += 8 + length + length % 2
        if len(self._rest) > _LONGEST_HEADER or last:
            raise SpeechError("malformed", "The server sent a WAV file without sound.")
        return False

    def _use(self, form: bytes) -> None:
        if len(form) < _FORMAT.size:
            raise SpeechError("malformed", "The server sent a WAV file without a format.")
        _, channels, rate, _, _, bits = _FORMAT.unpack(form[: _FORMAT.size])
        if bits != 16 or not 1 <= channels <= 8 or not 8_000 <= rate <= 192_000:
            raise SpeechError("malformed", f"The server sent WAV with {bits} bits, {channels} channels, {rate} Hz.")
        self._channels = channels
        if rate != SPOKEN_RATE:
            self._resample = soxr.ResampleStream(rate, SPOKEN_RATE, 1, dtype="int16")
