"""Sound of 24 kHz in the formats of files, made piece by piece."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import av
import numpy as np

from charhost.speech.speech import SPOKEN_RATE

FileFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class _Container(NamedTuple):
    name: str
    codec: str
    sample: str


_CONTAINERS: dict[str, _Container] = {
    "mp3": _Container("mp3", "libmp3lame", "s16p"),
    "opus": _Container("ogg", "libopus", "s16"),
    "aac": _Container("adts", "aac", "fltp"),
    "flac": _Container("flac", "flac", "s16"),
}
# The length of a stream is not known: players read to the end.
_UNKNOWN = b"\xff\xff\xff\xff"


class FileEncoder(Protocol):
    def encode(self, pcm: bytes, last: bool = False) -> bytes:
        """Return the next bytes of the file. It may take a while: not for the event loop."""


def encoder(kind: FileFormat) -> FileEncoder:
    return _Plain(kind) if kind in ("wav", "pcm") else _Encoded(_CONTAINERS[kind])


class _Plain:
    def __init__(self, kind: FileFormat) -> None:
        self._head = _wav_head() if kind == "wav" else b""

    def encode(self, pcm: bytes, last: bool = False) -> bytes:
        head, self._head = self._head, b""
        return head + pcm


class _Sink:
    """Takes the bytes that a container writes; without `seek` it writes a stream."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class _Encoded:
    def __init__(self, container: _Container) -> None:
        self._sink = _Sink()
        self._file = av.open(self._sink, mode="w", format=container.name)
        stream = self._file.add_stream(container.codec, rate=SPOKEN_RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        self._resampler = av.AudioResampler(format=container.sample, layout="mono", rate=SPOKEN_RATE)

    def encode(self, pcm: bytes, last: bool = False) -> bytes:
        frames = []
        if pcm:
            frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = SPOKEN_RATE
            frames = self._resampler.resample(frame)
        for piece in [*frames, *([None] if last else [])]:
            for packet in self._stream.encode(piece):
                self._file.mux(packet)
        if last:
            self._file.close()
        return self._sink.take()


def _wav_head() -> bytes:
    rate = SPOKEN_RATE
    form = (1).to_bytes(2, "little") * 2 + rate.to_bytes(4, "little") + (2 * rate).to_bytes(4, "little") + b"\2\0\x10\0"
    return b"RIFF" + _UNKNOWN + b"WAVEfmt \x10\0\0\0" + form + b"data" + _UNKNOWN
