"""Voices of moshi-server."""

from pathlib import Path
from typing import Any

import pytest

from charhost.speech.voices.kyutai import KyutaiVoices
from tests.speech.voices.helpers import wish

SOUND = {"id": 519189, "name": "Request #42 - Hmm, I don't know.wav"}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"voices": {"kyutai": "a.wav"}, "voice": "b.wav"}, "a.wav"),
        ({"voice": "b.wav", "path_on_server": "c.wav"}, "b.wav"),
        ({"source_type": "file", "path_on_server": "c.wav"}, "c.wav"),
        ({"source_type": "freesound", "path_on_server": "d.mp3", "sound_instance": SOUND}, "d.mp3"),
        (
            {"source_type": "freesound", "sound_instance": SOUND},
            "unmute-prod-website/freesound/519189_request-42---hmm-i-dont-knowwav.mp3",
        ),
    ],
)
def test_names_on_the_server(source: dict[str, Any], name: str) -> None:
    """Without a server that clones, a path is one on the server; a sound of freesound.org has unmute's name for it."""
    voice = KyutaiVoices(None, None, clones=False).map([wish(**source)], ())[0]
    assert (voice.name, voice.is_exact, voice.sample) == (name, True, None)


@pytest.mark.parametrize("source", [{}, {"source_type": "freesound", "sound_instance": {"id": 1}}])
def test_a_file_that_names_no_voice(source: dict[str, Any]) -> None:
    """The server's own voice speaks."""
    voice = KyutaiVoices(None, None, clones=False).map([wish(**source)], ())[0]
    assert (voice.name, voice.is_exact) == ("", False)
    assert voice.why == "VOICE_SOURCE names no voice that kyutai knows"


def test_a_sound_below_the_characters_is_cloned(tmp_path: Path) -> None:
    """A file that is there is cloned, from --voices too; one that is not there is a path on the server."""
    characters, voices = tmp_path / "characters", tmp_path / "voices"
    for file in (characters / "ada.wav", voices / "bea.wav"):
        file.parent.mkdir()
        file.write_bytes(b"RIFF")
    mapper = KyutaiVoices(voices, None, clones=True)

    def sample(path: str) -> Path | None:
        return mapper.map([wish(folder=characters, source_type="file", path_on_server=path)], ())[0].sample

    assert [sample(path) for path in ("ada.wav", "bea.wav", "carl.wav")] == [
        characters / "ada.wav",
        voices / "bea.wav",
        None,
    ]


def test_no_file_outside_is_cloned(tmp_path: Path) -> None:
    """Neither a path nor a link leads out of the directories."""
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    folder = tmp_path / "characters"
    folder.mkdir()
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    mapper = KyutaiVoices(None, None, clones=True)
    for path in ("../secret.wav", str(tmp_path / "secret.wav"), "link.wav", ".", "a\0b"):
        assert mapper.map([wish(folder=folder, source_type="file", path_on_server=path)], ())[0].sample is None
