"""`charhost voice`, and what `check` and `preview` tell of voices."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.helpers import run
from tests.conftest import character
from tests.reload.helpers import Write
from tests.speech.openai.audio_server import AudioServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rehearsals are for Linux only")

VOICE = 'VOICE_SOURCE["voice"] = "coral"\n'
MISTAKE = 'VOICE_SOURCE["speed"] = "fast"\n'


@pytest.fixture
def server() -> Iterator[AudioServer]:
    """A server that speaks, in a thread of its own: commands have an event loop of theirs."""
    server, is_up, loop = AudioServer([(200, {"Content-Type": "audio/pcm"}, bytes(4800))]), threading.Event(), None

    async def serve() -> None:
        nonlocal loop
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        ends.append(end)
        async with server.running():
            is_up.set()
            await end.wait()

    ends: list[asyncio.Event] = []
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert is_up.wait(60)
    yield server
    assert loop is not None
    loop.call_soon_threadsafe(ends[0].set)
    thread.join(60)


def test_voices_of_characters(directory: Path, write: Write, server: AudioServer) -> None:
    """The list has each character; check warns of those that speak with another voice; preview shows one."""
    write("bob.py", character("Bob") + VOICE + MISTAKE)
    found = run("voice", "list", "--directory", str(directory), "--tts", server.url)
    assert found.exit_code == 0, found.output
    lines = {line.split()[0]: line for line in found.stdout.splitlines()}
    assert lines["Bob"].split()[1] == "coral"
    assert "openai has no voice for" in lines["Ada"]


def test_check_and_preview(directory: Path, write: Write, server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both warn of a voice that cannot be mapped, of a wrong key, and of a language that is not heard."""
    monkeypatch.setenv("CHARHOST_TTS", server.url)
    monkeypatch.setenv("CHARHOST_STT", "embedded")
    french = character("Bob").replace("INSTRUCTIONS = {", 'INSTRUCTIONS = {"language": "fr", ', 1)
    write("bob.py", french + VOICE + MISTAKE)
    report = json.loads(run("check", str(directory), "--json").stdout)
    assert report["success"]
    warnings = "\n".join(report["warnings"])
    assert "Ada: openai has no voice for" in warnings
    assert "Bob: VOICE_SOURCE['speed'] is 'fast' and has no effect" in warnings
    assert "Bob: the embedded engine hears English only, and the character speaks fr" in warnings
    shown = json.loads(run("preview", "Bob", "--directory", str(directory), "--json").stdout)
    assert shown["voice"] == {"backend": "openai", "name": "coral", "exact": True, "why": None}
    assert "warning: Ada: openai has no voice" in run("preview", "Ada", "--directory", str(directory)).stdout


def test_a_sentence_in_a_file(directory: Path, server: AudioServer, tmp_path: Path) -> None:
    """The file is a WAV; a character that is not there, and a server that is not there, are errors."""
    out = tmp_path / "said.wav"
    options = ("--out", str(out), "--directory", str(directory))
    said = run("voice", "say", "Good evening.", "--character", "Ada", *options, "--tts", server.url)
    assert (said.exit_code, said.stdout) == (0, f"Ada speaks with alloy: {out}\n")
    with wave.open(str(out)) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 2_400)
    nobody = run("voice", "say", "Good evening.", "--character", "Eve", *options, "--tts", server.url)
    assert (nobody.exit_code, nobody.stderr) == (1, "✗ There is no character called Eve.\n")
    down = run("voice", "say", "Good evening.", *options, "--tts", "http://127.0.0.1:9/v1")
    assert (down.exit_code, down.stderr) == (1, "✗ The server that speaks cannot be reached.\n")


def test_a_sentence_to_the_speakers(
    directory: Path, server: AudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file the first program that plays sound is given one; where there is none, the error says so."""
    (tmp_path / "bin").mkdir()
    player, heard = tmp_path / "bin" / "aplay", tmp_path / "heard.wav"
    player.write_text(f'#!{sys.executable}\nimport shutil, sys\nshutil.copy(sys.argv[-1], "{heard}")\n')
    player.chmod(0o755)
    say = ("voice", "say", "Good evening.", "--directory", str(directory), "--tts", server.url)
    monkeypatch.setenv("PATH", str(player.parent))
    said = run(*say)
    assert said.exit_code == 0, said.output
    with wave.open(str(heard)) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 2_400)
    monkeypatch.setenv("PATH", str(tmp_path))
    mute = run(*say)
    assert (mute.exit_code, mute.stderr.partition(" (")[0]) == (1, "✗ There is no program that plays sound")


def test_engines_are_timed(server: AudioServer) -> None:
    """Each sentence has the time to its first sound, the share of real time, and what the other engine heard of it."""
    server.replies, server.heard = [(200, {"Content-Type": "audio/pcm"}, bytes(range(1, 255, 2)) * 40)], "Good evening."
    timed = run("voice", "time", "--tts", server.url, "--stt", server.url)
    assert timed.exit_code == 0, timed.output
    rows = timed.stdout.splitlines()[-3:]
    assert all("of real time" in row and row.rstrip().endswith("Good evening.") for row in rows), timed.stdout


def test_paths_that_cannot_be_used(directory: Path, server: AudioServer, tmp_path: Path) -> None:
    """A directory that is not there, and a place where nothing can be written, are errors of one line."""
    absent, file = tmp_path / "absent", tmp_path / "file"
    file.touch()
    listed = run("voice", "list", "--directory", str(absent), "--tts", server.url)
    assert (listed.exit_code, listed.stderr) == (1, f"✗ Directory not found: {absent}\n")
    out = absent / "said.wav"
    said = run("voice", "say", "Yes.", "--out", str(out), "--directory", str(directory), "--tts", server.url)
    assert (said.exit_code, said.stderr) == (1, f"✗ [Errno 2] No such file or directory: '{out}'\n")
    fetched = run("voice", "get", "fr_FR-siwis-medium", "--voices", str(file))
    assert (fetched.exit_code, fetched.stderr) == (1, f"✗ [Errno 17] File exists: '{file}'\n")


def test_a_check_without_a_voice_has_no_warning_of_voices(directory: Path) -> None:
    """Without an engine nobody is told of a voice."""
    assert json.loads(run("check", str(directory), "--json").stdout)["warnings"] == []
