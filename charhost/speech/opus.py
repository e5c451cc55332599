"""Streams of Ogg/Opus, 24 kHz mono, as unmute's clients send and take them."""

from __future__ import annotations

import logging

import numpy as np
import sphn

from charhost.logs.line_limit import limited
from charhost.speech.resampler import Resampler, Samples
from charhost.speech.speech import SPOKEN_RATE

log = logging.getLogger("charhost.speech")

_FULL_SCALE = 32_768
# Samples of a frame of 20 ms, in which Opus is made; a page has two.
_FRAME = SPOKEN_RATE // 50
_PAGE = 2 * _FRAME
# After the last sound, so that a client plays all that its decoder holds back.
_FLUSH = 2 * _PAGE
_OGG = b"OggS"
_FLAGS, _BEGINS = 5, 2


def begins_stream(page: bytes) -> bool:
    """Return whether a stream begins with this page."""
    return page.startswith(_OGG) and len(page) > _FLAGS and bool(page[_FLAGS] & _BEGINS)


class OpusDecoder:
    """Makes the streams that one client sends into samples at the rate of engines that hear.

    What comes before the beginning of a stream is left out: it is the rest of one of an earlier connection.
    """

    encoding = "audio/ogg"

    def __init__(self) -> None:
        self._stream: sphn.OpusStreamReader | None = None
        self._resampler = Resampler(SPOKEN_RATE)

    def decode(self, data: bytes) -> Samples:
        """Return the next samples; a stream that is broken is left out to its end."""
        if begins_stream(data):
            self._stream = sphn.OpusStreamReader(SPOKEN_RATE)
        if self._stream is None:
            return np.zeros(0, np.int16)
        try:
            pcm = self._stream.append_bytes(data)
        except ValueError as e:
            log.info("a stream of Ogg/Opus is broken: %s", e, extra=limited())
            self._stream = None
            return np.zeros(0, np.int16)
        return self._resampler.resample(np.asarray(pcm, np.float32) * _FULL_SCALE)


class OpusEncoder:
    """Makes the sound of all responses of one connection into one stream."""

    def __init__(self) -> None:
        self._stream = sphn.OpusStreamWriter(SPOKEN_RATE)
        self._rest = np.zeros(0, np.int16)

    def encode(self, pcm: bytes, last: bool = False) -> bytes:
        """Return the next pages; the *last* of a response are followed by silence, and end no stream."""
        samples = np.concatenate([self._rest, np.frombuffer(pcm, "<i2")])
        if last:
            samples = np.pad(samples, (0, -len(samples) % _PAGE + _FLUSH))
        whole = len(samples) - len(samples) % _PAGE
        self._rest = samples[whole:]
        pages = samples[:whole].astype(np.float32) / _FULL_SCALE
        return b"".join(self._stream.append_pcm(pages[at : at + _PAGE]) for at in range(0, whole, _PAGE))

    def drop(self) -> bytes:
        """Drop sound that is no page yet, and return pages of silence."""
        self._rest = np.zeros(0, np.int16)
        return self.encode(b"", last=True)
