"""Detectors of speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from charhost.speech.turns import FRAME

Frames = NDArray[np.int16]  # rows of `FRAME` samples

_CONTEXT = 64
_FULL_SCALE = 32_768


class Detector(Protocol):
    """Finds speech in the frames of many sessions; each session has a state, which begins as None."""

    def detect(self, frames: Frames, state: Any) -> tuple[list[float], Any]:
        """Return the probability of speech in each frame of one session, and its state after them."""


class SileroDetector:
    """Silero's model of version 6, which faster-whisper has among its files; it is shared by all sessions."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        self._model = onnxruntime.InferenceSession(_model_file(), options, providers=["CPUExecutionProvider"])

    def detect(self, frames: Frames, state: Any) -> tuple[list[float], Any]:
        if state is None:
            state = np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32), np.zeros(_CONTEXT, np.float32)
        h, c, before = state
        sound = frames.astype(np.float32) / _FULL_SCALE
        contexts = np.vstack([before, sound[:-1, -_CONTEXT:]])
        found, h, c = self._model.run(None, {"input": np.hstack([contexts, sound]), "h": h, "c": c})
        return [float(p) for p in np.ravel(found)], (h, c, sound[-1, -_CONTEXT:])


def _model_file() -> str:
    # Not from faster_whisper.utils: the import of the package takes half a second, and CTranslate2 with it.
    from importlib.util import find_spec

    package = find_spec("faster_whisper")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "assets" / "silero_vad_v6.onnx")


def framed(samples: NDArray[np.int16]) -> tuple[Frames, NDArray[np.int16]]:
    """Return the whole frames of *samples*, and the rest."""
    whole = len(samples) - len(samples) % FRAME
    return samples[:whole].reshape(-1, FRAME), samples[whole:]
