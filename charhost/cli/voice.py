"""charhost voice: the voices of characters, and the engines on this machine."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charhost.cli.client_options import configured
from charhost.cli.output import print_error, print_line, show_table
from charhost.errors import DirectoryError
from charhost.text import one_line

if TYPE_CHECKING:
    from charhost.cli.character_voices import FoundVoice
    from charhost.settings import Settings
    from charhost.speech.engines import Engines
    from charhost.speech.speech import Voice

app = typer.Typer(
    help="List the voices of characters, say a sentence, time the engines, and fetch voices.", no_args_is_help=True
)

_DIRECTORY = Annotated[Path | None, typer.Option(help="The character directory (default: the setting).")]
_ENGINE = Annotated[str | None, typer.Option("--tts", help="The engine (default: the setting, else embedded).")]
_HEARING = Annotated[str | None, typer.Option("--stt", help="The engine (default: the setting, else embedded).")]
_PLAYERS = (("pw-play",), ("paplay",), ("aplay", "-q"), ("afplay",))
_SENTENCES = ("Yes.", "Good evening, and welcome.", "The old clock in the tower strikes nine every morning in winter.")


@app.command("list")
def list_voices(directory: _DIRECTORY = None, tts: _ENGINE = None) -> None:
    """List the voice of each character, and why it is another one than its file asks for."""
    from charhost.cli.trials import completed

    settings = _configured(directory, tts)
    with _errors_in_one_line():
        found = completed(_found(settings))
    rows = [(one.character, one.voice.name if one.voice else None, one.voice.why if one.voice else "") for one in found]
    show_table(("character", "voice", "why another one"), rows)
    for one in found:
        for warning in one.warnings if one.voice is None else ():
            print_line(one_line(f"warning: {warning}"))


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What is said.")],
    character: Annotated[str | None, typer.Option(help="Who says it (default: the first character).")] = None,
    out: Annotated[Path | None, typer.Option(help="A WAV file to write (default: the speakers).")] = None,
    directory: _DIRECTORY = None,
    tts: _ENGINE = None,
) -> None:
    """Say a sentence as a character does, into a WAV file or to the speakers."""
    from charhost.cli.trials import completed

    settings = _configured(directory, tts)
    with _errors_in_one_line():
        one, file = completed(_said(settings, text, character))
        if out is not None:
            out.write_bytes(file)
    if out is not None:
        print_line(f"{one.character} speaks with {one.voice.name if one.voice else 'no voice'}: {out}")
    else:
        _play(file)


@app.command("time")
def time_engines(tts: _ENGINE = None, stt: _HEARING = None) -> None:
    """Time the engines: sentences are spoken, and heard again."""
    from charhost.cli.trials import completed

    with _errors_in_one_line():
        rows = completed(_timed(_configured(None, tts, stt or "embedded")))
    show_table(("text", "sound", "first sound", "all of it", "heard after", "as"), rows)


@app.command()
def get(
    names: Annotated[list[str], typer.Argument(help="Names of voices of Piper, such as fr_FR-siwis-medium.")],
    folder: Annotated[Path | None, typer.Option("--voices", help="Where to put them.")] = None,
) -> None:
    """Fetch voices of Piper with its own program; look at the licence of each, which is in its model card."""
    from charhost.speech.voices.piper_files import OWN_FOLDER

    place = (folder or OWN_FOLDER).expanduser()
    with _errors_in_one_line():
        place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "piper.download_voices", "--download-dir", str(place), *names]
    if (status := subprocess.run(command, check=False).returncode) != 0:
        print_error(f"Piper could not fetch {', '.join(names)}; it says why above.")
    raise typer.Exit(1 if status else 0)


def _configured(directory: Path | None, tts: str | None, stt: str | None = None) -> Settings:
    settings = configured(directory=directory, tts=tts, stt=stt)
    return settings if settings.speech_address is not None else settings.model_copy(update={"tts": "embedded"})


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """End the command with what went wrong: a directory, a file, or an engine."""
    from charhost.speech.failure import SpeechError

    try:
        yield
    except (DirectoryError, OSError, SpeechError) as e:
        print_error(one_line(e))
        raise typer.Exit(1) from e


async def _found(settings: Settings) -> list[FoundVoice]:
    from charhost.cli.character_voices import voices_of
    from charhost.cli.trials import try_files
    from charhost.loading.snapshot import Limits, take_snapshot

    snapshot = take_snapshot(settings.directory, Limits.of(settings))
    trials = await try_files(settings, snapshot, snapshot.character_paths)
    return await voices_of(settings, settings.directory, trials)


async def _said(settings: Settings, text: str, character: str | None) -> tuple[FoundVoice, bytes]:
    """Return who speaks, and the WAV file; raises `SpeechError`."""
    from charhost.speech.openai.wav import wav
    from charhost.speech.speech import SPOKEN_RATE

    found = await _found(settings)
    one = next((one for one in found if character in (None, one.character)), None)
    if one is None or one.voice is None:
        reasons = [*(one.warnings if one else ()), f"There is no character called {character}."]
        print_error(one_line(reasons[0]))
        raise typer.Exit(1)
    async with _running(settings.model_copy(update={"stt": "off"})) as engines:
        sounds = [pcm for _, pcm in [piece async for piece in _spoken(engines, text, one.voice)]]
    return one, wav(b"".join(sounds), SPOKEN_RATE)


async def _timed(settings: Settings) -> list[tuple[str, ...]]:
    """Return a row for each sentence; raises `SpeechError`."""
    from charhost.speech.voices.character_voices import CharacterVoices
    from charhost.speech.voices.wish import Wish

    async with _running(settings) as engines:
        assert isinstance(engines.voices, CharacterVoices)
        [voice] = await engines.voices.map([Wish("", Path(), {}, "en")])
        # The first is for the engines to get ready.
        rows = [await _row(engines, text, voice) for text in (_SENTENCES[0], *_SENTENCES)]
    return rows[1:]


async def _row(engines: Engines, text: str, voice: Voice) -> tuple[str, ...]:
    began, pieces = time.monotonic(), [piece async for piece in _spoken(engines, text, voice)]
    first, spoken = pieces[0][0] - began, pieces[-1][0] - began
    pcm = b"".join(pcm for _, pcm in pieces)
    seconds = len(pcm) / 48_000
    heard, words = await _heard(engines, pcm)
    factor = f"{spoken:.2f} s ({spoken / seconds:.2f} of real time)"
    return text, f"{seconds:.2f} s", f"{first:.2f} s", factor, f"{heard:.2f} s", words


async def _heard(engines: Engines, pcm: bytes) -> tuple[float, str]:
    if engines.hearing is None:
        return 0.0, "–"
    import numpy as np
    import soxr

    sound = soxr.resample(np.frombuffer(pcm, "<i2"), 24_000, 16_000).astype("<i2").tobytes()
    listening = engines.hearing.listen("en", "")
    listening.feed(sound)
    began = time.monotonic()
    transcript = await listening.transcript(final=True)
    await listening.close()
    return time.monotonic() - began, transcript.text


async def _spoken(engines: Engines, text: str, voice: Voice) -> AsyncIterator[tuple[float, bytes]]:
    """Yield the pieces of sound, each with the time at which it came."""
    assert engines.speech is not None
    async for sound in engines.speech.speak(_once(text), voice):
        if sound.pcm:
            yield time.monotonic(), sound.pcm


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[Engines]:
    """Start the engines; requests wait until they are up."""
    from charhost.errors import SettingsError
    from charhost.speech.configured import engines_of

    try:
        engines = engines_of(settings)
    except SettingsError as e:
        print_error(one_line(e))
        raise typer.Exit(2) from e
    for owned in engines.owned:
        owned.start()
    try:
        yield engines
    finally:
        await asyncio.gather(*(owned.close() for owned in engines.owned))


def _play(file: bytes) -> None:
    player = next((found for found in _players() if found), None)
    if player is None:
        print_error("There is no program that plays sound (aplay, paplay, pw-play, afplay): write a file with --out.")
        raise typer.Exit(1)
    with tempfile.NamedTemporaryFile(suffix=".wav") as opened:
        opened.write(file)
        opened.flush()
        subprocess.run([*player, opened.name], check=False)


def _players() -> Iterator[tuple[str, ...]]:
    yield from (player for player in _PLAYERS if shutil.which(player[0]))


async def _once(text: str) -> AsyncIterator[str]:
    yield text
