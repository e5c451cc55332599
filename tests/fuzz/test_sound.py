"""The decoders of sound, of clients and of engines, with random bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import strategies as st

pytest.importorskip("av", reason="the packages of the extra voice are needed")

from charhost.speech.embedded import frames
from charhost.speech.embedded.decoder import Decoder as FileDecoder
from charhost.speech.encoders import encoder
from charhost.speech.failure import SpeechError
from charhost.speech.formats import TYPES, Decoder
from charhost.speech.kyutai.messages import audio, packed, pcm_of, unpacked
from charhost.speech.kyutai.spoken_words import SpokenWords
from charhost.speech.openai.wav import PcmReader, wav
from charhost.speech.segments import Segmenter
from charhost.web.protocol.frames import InvalidEvent
from charhost.web.realtime.audio_buffer import audio_bytes
from tests.fuzz.campaign import SECONDS, check_cost, run
from tests.fuzz.inputs import changed, damaged

TONE = (np.sin(np.arange(4_800) / 9) * 9_000).astype("<i2").tobytes()
MESSAGES: list[dict[str, Any]] = [
    {"type": "Audio", "pcm": [0.0, 0.5, -1.0]},
    {"type": "Text", "text": "Hi", "start_s": 0.1, "stop_s": 0.4},
    {"type": "Word", "text": "Hi", "start_time": 0.1},
    {"type": "Step", "step_idx": 20, "prs": [0.1, 0.2, 0.9, 0.1], "buffered_pcm": 0},
    {"type": "Marker", "id": 1},
    {"type": "Error", "message": "no free channels"},
    {"type": "Ready"},
]


def file_of(kind: Any) -> bytes:
    """Return a short sound file."""
    made = encoder(kind)
    return made.encode(TONE) + made.encode(b"", last=True)


FILES = [file_of(kind) for kind in ("opus", "mp3", "flac", "wav", "aac")]


def client_audio(data: bytes) -> None:
    """Take the base64 of an event as audio of each format, in pieces."""
    with suppress(InvalidEvent):
        audio_bytes(data.decode("latin-1"), "audio")
    for encoding in TYPES:
        decoder = Decoder(encoding)
        for start in range(0, len(data), 1_001):
            decoder.decode(data[start : start + 1_001])


def file(data: bytes) -> None:
    """Decode a sound file, as the process that does it, and cut it into pieces."""
    segmenter = Segmenter()
    with suppress(Exception):  # of FFmpeg, of many types: the process makes a refusal of each
        for reply in islice(FileDecoder().work({"file": data}), 4):
            segmenter.take(reply["pcm"])
    segmenter.take(b"", last=True)


def pipe(data: bytes) -> None:
    """Read the frames of an engine's process."""
    with suppress(ValueError, msgpack.UnpackException):
        while frames.read(io.BytesIO(data)) is not None:
            data = data[4:]


def stream(data: bytes) -> None:
    """Read the sound of a server with OpenAI's audio API."""
    reader = PcmReader()
    with suppress(SpeechError):
        for start in range(0, len(data), 700):
            reader.take(data[start : start + 700])
        reader.take(b"", last=True)


def message(data: bytes) -> None:
    """Read a message of moshi-server, of its ears and of its voice."""
    words = SpokenWords()
    list(words.take("Hi there "))
    with suppress(SpeechError):
        found = unpacked(data)
        with suppress(SpeechError):
            words.note(found)
        words.sound(pcm_of(found))
        words.end()


def _packed(value: Any) -> bytes:
    try:
        data: bytes = msgpack.packb(value)
    except (ValueError, TypeError, OverflowError):  # what no message can hold
        return b"\xc1"
    return data


SOURCES: dict[str, tuple[Callable[[bytes], None], st.SearchStrategy[bytes]]] = {
    "client audio": (client_audio, damaged([b"T2dnUw==" * 500, TONE]) | st.binary(max_size=5_000)),
    "file": (file, damaged(FILES)),
    "pipe": (pipe, damaged([frames.frame({"id": 1, "pcm": TONE[:900]}), struct.pack(">I", 1 << 31)])),
    "stream": (stream, damaged([wav(TONE, 24_000), wav(TONE, 8_000), TONE])),
    "message": (message, changed(MESSAGES).map(_packed) | damaged([_packed(one) for one in MESSAGES])),
}


def check(data: bytes) -> None:
    """Read the rest of an input as what its first byte names."""
    read, _ = list(SOURCES.values())[data[0] % len(SOURCES)]
    read(data[1:])


@pytest.mark.slow
def test_random_sound() -> None:
    """Each is read or refused, without a long gap, and nothing is left of it."""
    inputs = [found.map(bytes([number]).__add__) for number, (_, found) in enumerate(SOURCES.values())]
    run(st.one_of(inputs), check, SECONDS / 2)


@pytest.mark.parametrize("source", SOURCES)
def test_good_sound(source: str) -> None:
    """What the random sound is near to is read."""
    good = {
        "client audio": [b"T2dnUw=="],
        "file": FILES,
        "pipe": [frames.frame({"id": 1})],
        "stream": [wav(TONE, 8_000)],
        "message": [*map(_packed, MESSAGES), audio(TONE), packed("Eos")],
    }
    for data in good[source]:
        check_cost(SOURCES[source][0], data)
