"""Detectors of speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from charhost.errors import SettingsError

Frames = NDArray[np.int16]  # rows of 32 ms: `charhost.speech.turns.FRAME` samples

# Samples before a frame that the model hears with it, and the numbers in each of its two memories.
_CONTEXT = 64
_MEMORY = 128
_FULL_SCALE = 32_768
# A state is the two memories and the samples.
_PLACES = (_MEMORY, 2 * _MEMORY)
_BEGINNING = np.zeros(2 * _MEMORY + _CONTEXT, np.float32)


def _shape(name: bytes, size: bytes) -> bytes:
    """Return the shape of a memory in the model (1, *size*, 128) up to its size, in the encoding of ONNX."""
    return b"\x0a%c%b\x12\x13\x0a\x11\x08\x01\x12\x0d\x0a\x02\x08\x01\x0a\x02%b" % (len(name), name, size)


# The axes of the frames that go into the memories: time comes first, and then the sessions, of which there is one. They
# are exchanged, and the number of sessions is left open, by a field that ONNX does not have.
_CHANGES = (
    (b"perm\x40\x00\x40\x02\x40\x01", b"perm\x40\x02\x40\x00\x40\x01"),
    *((_shape(name, b"\x08\x01"), _shape(name, b"\x20\x01")) for name in (b"h", b"c", b"hn", b"cn")),
)


class Detector(Protocol):
    """Finds speech in the frames of many sessions; each session has a state, which begins as None."""

    def detect(self, frames: Frames, states: Sequence[Any]) -> tuple[Sequence[float], Sequence[Any]]:
        """Return the probability of speech in a frame of each session, and the states after them."""


class SileroDetector:
    """Silero's model of version 6, which faster-whisper has among its files; it is shared by all sessions."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        model = _for_many(_model_file().read_bytes())
        self._model = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def detect(self, frames: Frames, states: Sequence[Any]) -> tuple[Sequence[float], Sequence[Any]]:
        before = np.stack([_BEGINNING if state is None else state for state in states])
        h, c, contexts = np.split(before, _PLACES, axis=1)
        sound = frames.astype(np.float32) / _FULL_SCALE
        inputs = {"input": np.hstack([contexts, sound]), "h": h[None], "c": c[None]}
        found, h, c = self._model.run(None, inputs)
        after = np.hstack([h[0], c[0], sound[:, -_CONTEXT:]])
        return found.tolist(), [state.copy() for state in after]  # none of them keeps those of the others


def _for_many(model: bytes) -> bytes:
    """Return the model with frames of many sessions in one call, in place of one session's frames one after the other.

    Raise `SettingsError` for a model that is not the one whose places are known.
    """
    for old, new in _CHANGES:
        if model.count(old) != 1:
            raise SettingsError("Silero's model in faster-whisper is unknown: pip install 'faster-whisper==1.2.1'")
        model = model.replace(old, new)
    return model


def _model_file() -> Path:
    # Not from faster_whisper.utils: the import of the package takes half a second, and CTranslate2 with it.
    from importlib.util import find_spec

    package = find_spec("faster_whisper")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "assets" / "silero_vad_v6.onnx"
