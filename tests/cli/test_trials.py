"""The trials of a directory's files for `charhost check` and `charhost preview`."""

from __future__ import annotations

import sys

import pytest

from charhost.cli.trials import try_files
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")


async def test_progress_counts_the_trials(settings: Settings, write: Write) -> None:
    """The number of finished trials is passed on after each file."""
    write("bob.py", "1 / 0")
    snapshot, done = take_snapshot(settings.directory, Limits.of(settings)), list[int]()
    found = await try_files(settings, snapshot, snapshot.character_paths, done.append)
    assert ([trial.error is None for trial in found], done) == ([True, False], [1, 2])


async def test_only_the_second_character_of_a_name_is_an_error(settings: Settings, write: Write) -> None:
    """A name is a duplicate when an earlier file has it, also if that file is not the directory's first."""
    write("bob.py", character("Bob"))
    write("eve.py", character("Bob"))
    snapshot = take_snapshot(settings.directory, Limits.of(settings))
    errors = [trial.error for trial in await try_files(settings, snapshot, snapshot.character_paths)]
    assert [error and (error.file, error.error_type) for error in errors] == [None, None, ("eve.py", "DuplicateName")]
