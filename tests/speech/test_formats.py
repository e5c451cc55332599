"""Formats of audio."""

from __future__ import annotations

import numpy as np
import pytest

from charhost.speech.formats import Decoder, Encoder, Encoding, samples_of
from tests.speech.engines import loud_ms, tone

# Codes and their samples from the tables of ITU-T G.711.
_CODES: dict[Encoding, dict[int, int]] = {
    "audio/pcmu": {0x00: -32_124, 0x80: 32_124, 0xFF: 0, 0x7F: 0, 0xF0: 120, 0x8F: 16_764},
    "audio/pcma": {0xD5: 8, 0x55: -8, 0x2A: -32_256, 0xAA: 32_256, 0xC5: 264},
}

_SILENT: dict[Encoding, bytes] = {"audio/pcm": b"\0\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}


def heard(decoder: Decoder, data: bytes, step: int) -> bytes:
    """Return what engines hear of *data* that comes in steps, after a little silence that flushes it."""
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    quiet = _SILENT[decoder.encoding] * 2_400
    return b"".join(decoder.decode(piece).tobytes() for piece in [*pieces, quiet])


@pytest.mark.parametrize("encoding", ["audio/pcmu", "audio/pcma"])
def test_codes(encoding: Encoding) -> None:
    """Codes have the samples of the standard."""
    codes = _CODES[encoding]
    assert dict(zip(codes, samples_of(encoding, bytes(codes)).tolist(), strict=True)) == codes


@pytest.mark.parametrize("step", [960, 961, 7])
def test_steps_do_not_matter(step: int) -> None:
    """Audio is the same in whatever pieces it comes, also in halves of samples."""
    sound = tone(200)
    once, often = (
        np.frombuffer(heard(Decoder("audio/pcm"), sound, size), "<i2").astype(int) for size in (100_000, step)
    )
    assert np.abs(once - often).max() <= 2  # the resampler rounds at random


@pytest.mark.parametrize("encoding", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_there_and_back(encoding: Encoding) -> None:
    """A tone that is sent in a format is heard as a tone of its length."""
    encoder = Encoder(encoding)
    data = encoder.encode(tone(500)) + encoder.encode(b"", last=True)
    assert len(data) == {"audio/pcm": 24_000}.get(encoding, 4_000)
    pcm = heard(Decoder(encoding), data, 1_000)
    assert 480 <= loud_ms(pcm) <= 520
    strongest = np.abs(np.fft.rfft(np.frombuffer(pcm[: 16_000 * 2 // 2], "<i2"))).argmax()
    assert round(float(strongest) * 16_000 / 8_000) == 440
