"""Piper in a process of its own. Piper is under the GPL, and nothing else of charhost imports it."""

import json
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soxr
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from charhost.speech.embedded import MOST_VOICES
from charhost.speech.embedded.digests import check
from charhost.speech.embedded.frames import Message
from charhost.speech.embedded.jobs import run

_RATE = 24_000
_PIECE = _RATE  # samples: a second


class Piper:
    """Speaks with the voices in files; the last few of them stay loaded."""

    def __init__(self) -> None:
        self._voices: OrderedDict[tuple[str, int, int], PiperVoice] = OrderedDict()

    def work(self, job: Message) -> Iterator[Message]:
        """Yield `sound` at 24 kHz for a job with `text`, the `file` of a voice, `speaker`, `speed` and `pitch`."""
        voice = self._voice(Path(job["file"]))
        if not job.get("text"):
            return
        speed, pitch = job.get("speed", 1.0), job.get("pitch", 1.0)
        # Played at another rate, a voice is higher and quicker: the length makes up for the latter.
        config = SynthesisConfig(speaker_id=job.get("speaker"), length_scale=voice.config.length_scale * pitch / speed)
        # Piper takes text between these for phonemes.
        text = job["text"].replace("[[", "(").replace("]]", ")")
        for sentence in voice.synthesize(text, config):
            sound = soxr.resample(sentence.audio_float_array, sentence.sample_rate * pitch, _RATE)
            samples = (np.clip(sound, -1, 1) * 32767).astype("<i2")
            for start in range(0, len(samples), _PIECE):
                yield {"sound": samples[start : start + _PIECE].tobytes()}

    def _voice(self, file: Path) -> PiperVoice:
        status = file.stat()
        key = (str(file), status.st_size, status.st_mtime_ns)
        if key not in self._voices:
            self._voices[key] = _loaded(file)
            if len(self._voices) > MOST_VOICES:
                self._voices.popitem(last=False)
        self._voices.move_to_end(key)
        return self._voices[key]


def _loaded(file: Path) -> PiperVoice:
    check(file)
    config: dict[str, Any] = json.loads(Path(f"{file}.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False  # half the memory, at the same speed
    session = onnxruntime.InferenceSession(str(file), sess_options=options, providers=["CPUExecutionProvider"])
    return PiperVoice(session=session, config=PiperConfig.from_dict(config))


def _make() -> Piper:
    engine = Piper()
    for file in sys.argv[1:]:
        list(engine.work({"file": file}))
    return engine


if __name__ == "__main__":
    run(_make)
