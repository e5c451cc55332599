"""The decoder of sound files."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import pytest


def sound() -> bytes:
    """Return a second of silence in WAV."""
    with wave.open(file := io.BytesIO(), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(bytes(32_000))
    return file.getvalue()


def test_a_sound_is_decoded() -> None:
    """A file becomes samples of 16 kHz."""
    pytest.importorskip("av", reason="the extra `voice` is not installed")
    from charhost.speech.embedded.decoder import Decoder

    assert sum(len(reply["pcm"]) for reply in Decoder().work({"file": sound()})) == 32_000


def test_no_other_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of files, which is a sound file for FFmpeg, opens none of them."""
    av = pytest.importorskip("av", reason="the extra `voice` is not installed")
    from charhost.speech.embedded.decoder import Decoder

    (tmp_path / "private.wav").write_bytes(sound())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(av.error.FFmpegError):
        list(Decoder().work({"file": b"ffconcat version 1.0\nfile private.wav\n"}))
