"""Streams of Ogg/Opus of clients."""

from __future__ import annotations

import io

import numpy as np
import pytest

pytest.importorskip("av", reason="the packages of the extra voice are needed")

import av

from charhost.speech.opus import OpusDecoder
from tests.speech.engines import loud_ms, tone

RATE = 48_000


def stream(milliseconds: str, layout: str) -> bytes:
    """Return a second of a tone in packets of so many ms, one a page, as an encoder of RFC 6716 makes them."""
    options = {"frame_duration": milliseconds, "application": "voip"}
    with av.open(file := io.BytesIO(), "w", format="ogg", options={"page_duration": "1"}) as container:
        sound = container.add_stream("libopus", rate=RATE, layout=layout, options=options)
        samples = np.frombuffer(tone(1_000, RATE), "<i2").repeat(2 if layout == "stereo" else 1)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout=layout)
        frame.sample_rate = RATE
        for packet in (*sound.encode(frame), *sound.encode(None)):
            container.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("milliseconds", ["2.5", "5", "10", "20", "40", "60", "120"])
def test_packets_of_any_length(milliseconds: str, layout: str) -> None:
    """Packets of each length that RFC 6716 has, to 120 ms of several frames, are heard, mono or not."""
    data = stream(milliseconds, layout)
    decoder = OpusDecoder()
    pcm = b"".join(decoder.decode(data[at : at + 4_000]).tobytes() for at in range(0, len(data), 4_000))
    assert loud_ms(pcm) == pytest.approx(1_000, abs=60)
