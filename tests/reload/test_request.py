"""The bodies of the requests that change the character set."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from charhost.reload.request import FleetReloadRequest, ReloadRequest, RollbackRequest, SetRequest

pytestmark = pytest.mark.of_default_set


def test_nothing_needs_to_be_given() -> None:
    """An empty body reloads all of the current directory, and leaves out what fails."""
    request = ReloadRequest()
    assert (request.directory, request.scope, request.on_error, request.dry_run) == (None, "all", "exclude", False)


@pytest.mark.parametrize("directory", ["/srv/characters", "default"])
def test_directory_is_absolute_or_the_default(directory: str) -> None:
    """The directory is a path from the root, or the word for the one of the start."""
    assert ReloadRequest(directory=directory).directory == directory


@pytest.mark.parametrize("directory", ["", "characters", "~/characters", "/srv/\0"])
def test_other_directory_is_refused(directory: str) -> None:
    """A path that depends on where the server was started is refused, and so is one that no system has."""
    with pytest.raises(ValidationError):
        ReloadRequest(directory=directory)


def test_set_has_a_directory_of_its_own() -> None:
    """For a set that is added `default` would mean nothing."""
    with pytest.raises(ValidationError, match="expected an absolute path"):
        SetRequest(directory="default")


def test_upload_and_directory_exclude_each_other() -> None:
    """A reload is of an uploaded set or of a directory."""
    assert FleetReloadRequest(uploaded="a" * 64).uploaded == "a" * 64
    with pytest.raises(ValidationError, match="either a directory or an uploaded set"):
        FleetReloadRequest(uploaded="a" * 64, directory="/srv/characters")


@pytest.mark.parametrize("generation", [-1, 1.5, "1", True])
def test_generation_is_a_number(generation: Any) -> None:
    """A generation is an integer of 0 or more."""
    with pytest.raises(ValidationError):
        RollbackRequest(generation=generation)


def test_rollback_changes_all_or_nothing() -> None:
    """A rollback is a reload of the same set and policy that is aborted by an error."""
    rollback = RollbackRequest(set="gaming", generation=3, sessions="keep", drain_seconds=5, reason="oops")
    expected = ReloadRequest(set="gaming", sessions="keep", drain_seconds=5, reason="oops", on_error="abort")
    assert rollback.as_reload == expected
