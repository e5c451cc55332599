"""The content of a data file, as far as it belongs to a fingerprint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from charhost.loading import data_file
from charhost.loading.data_file import ABSENT, STATE, digest_of, is_state, note_data, note_written


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget at the end which files were noted."""
    monkeypatch.setattr(data_file, "_data", set())
    monkeypatch.setattr(data_file, "_written", set())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("one")
    return file


def test_digest_is_of_the_content(file: Path) -> None:
    """Another content has another digest; a new time of the same content has not."""
    before = digest_of(str(file))
    os.utime(file, (1, 1))
    assert digest_of(str(file)) == before
    file.write_text("two")
    assert digest_of(str(file)) != before


def test_missing_file_has_a_digest() -> None:
    """A file that is not there is told from one that comes."""
    assert digest_of("/nowhere/words.txt") == ABSENT


def test_special_file_is_not_read() -> None:
    """A device, which may have no end, has a digest without being read."""
    assert digest_of("/dev/zero") == b"special"


def test_large_file_is_compared_by_size_and_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the limit is not hashed."""
    monkeypatch.setattr(data_file, "_MOST_HASHED", 2)
    os.utime(file, ns=(5, 5))
    assert digest_of(str(file)) == b"3 5"


def test_file_that_is_written_during_a_load_is_state(file: Path) -> None:
    """What a character writes is its state, by whatever path it is named later."""
    note_written(str(file), is_loading=True)
    link = file.with_name("link.txt")
    link.symlink_to(file)
    assert is_state(str(link))
    assert digest_of(str(file)) == STATE


def test_written_file_is_state_if_it_was_read_before(file: Path) -> None:
    """After a load only a data file matters."""
    note_written(str(file), is_loading=False)
    assert not is_state(str(file))
    note_data(str(file))
    note_written(str(file), is_loading=False)
    assert is_state(str(file))
