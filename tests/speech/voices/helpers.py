"""Wishes of characters, and files of voices."""

import json
from pathlib import Path
from typing import Any

from charhost.speech.voices.wish import Wish


def wish(name: str = "Ada", folder: Path = Path("/characters"), language: str | None = "en", **source: Any) -> Wish:
    return Wish(name, folder, source, language)


def piper_voice(folder: Path, name: str, language: str = "en_US", speakers: dict[str, int] | None = None) -> Path:
    """Write a voice that is a voice but for its sound."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "language": {"code": language},
        "num_speakers": max(1, len(speakers or {})),
        "speaker_id_map": speakers or {},
    }
    (folder / f"{name}.onnx.json").write_text(json.dumps(described))
    (folder / f"{name}.onnx").write_bytes(b"")
    return folder / f"{name}.onnx"
