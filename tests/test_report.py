"""The request of a reload, and its report: the public contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from charhost.jsontext import encoded
from charhost.reload.request import ReloadRequest, RollbackRequest
from charhost.report import FileError
from tests.reports import report

FIELDS = (
    *("success", "directory", "total_files", "loaded_count", "error_count", "load_duration", "message"),
    *("reload_id", "set", "outcome", "trigger", "scope", "dry_run", "reason", "generation", "revision", "started_at"),
    *("changes", "errors", "sessions", "serving", "timings"),
)


def request(**fields: Any) -> ReloadRequest:
    """A request with these fields."""
    return ReloadRequest(**fields)


def refusal(**fields: Any) -> str:
    """Return the error of an invalid request."""
    with pytest.raises(ValidationError) as caught:
        ReloadRequest(**fields)
    (error,) = caught.value.errors()
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def test_nothing_needs_to_be_asked() -> None:
    """An empty request means: the current directory, every file, and a bad file is left out."""
    asked = ReloadRequest.model_validate_json("{}")
    assert (asked.directory, asked.scope, asked.on_error, asked.dry_run) == (None, "all", "exclude", False)
    assert (asked.sessions, asked.reason) == (None, None)


@pytest.mark.parametrize("directory", ["/home/ada/characters", "default", "/", "/développeuse", "/a b"])
def test_a_directory_is_absolute_or_default(directory: str) -> None:
    """Absolute paths are taken as they are, and so is the word default."""
    assert request(directory=directory).directory == directory


@pytest.mark.parametrize("directory", ["characters", "./default", "../x", "~", "", "Default", " /x", "C:\\x"])
def test_a_relative_path_is_refused(directory: str) -> None:
    """The server's working directory is no place that a caller could mean."""
    assert refusal(directory=directory) == 'directory: Value error, expected an absolute path or "default"'


def test_a_path_with_a_nul_is_refused() -> None:
    """A path with a NUL is no directory."""
    assert refusal(directory="/a\0b") == "directory: Value error, a path cannot hold a NUL character"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("directory", 5),
        ("scope", "some"),
        ("sessions", "leave"),
        ("on_error", "stop"),
        ("dry_run", "yes"),
        ("dry_run", 1),
        ("reason", 5),
        ("reason", "x" * 1001),
    ],
)
def test_a_wrong_value_is_refused(field: str, value: object) -> None:
    """Values are taken literally: no other types, no values whose time has not come."""
    assert refusal(**{field: value}).startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["drain", "sessions_policy", "directories", "dryRun"])
def test_an_unknown_field_is_refused(field: str) -> None:
    """A field that does nothing would promise something."""
    assert refusal(**{field: 1}).startswith(f"{field}: ")


def test_equal_requests_are_equal() -> None:
    """Requests compare by their fields, so that equal ones can share a run."""
    assert request(directory="/d", reason="x") == request(reason="x", directory="/d")
    assert request(directory="/d") != request(directory="/d", dry_run=True)


def test_a_request_is_frozen() -> None:
    """A request cannot be changed."""
    with pytest.raises(ValidationError):
        request().dry_run = True


def test_a_file_error_reads_as_one_line() -> None:
    """As text an error is one line: file, line, type and message."""
    error = FileError(file="bob.py", line=12, error_type="SyntaxError", exception="IndentationError", message="Oh.")
    assert str(error) == "bob.py:12: SyntaxError: Oh."


def test_a_file_error_without_a_line_is_still_one_line() -> None:
    """An error without a line number is one line without it."""
    error = FileError(file="bob.py", error_type="OSError", exception="PermissionError", message="Permission denied")
    assert str(error) == "bob.py: OSError: Permission denied"


def test_only_a_traceback_may_be_absent() -> None:
    """Every field of an error is written, null or not, except a missing traceback."""
    error = FileError(file="bob.py", error_type="OSError", exception="PermissionError", message="No.")
    assert list(error.model_dump()) == ["file", "line", "character", "error_type", "exception", "message"]
    assert error.model_copy(update={"traceback": "Traceback"}).model_dump()["traceback"] == "Traceback"


def test_half_a_character_in_an_error_is_mended() -> None:
    """A lone surrogate in an error is replaced."""
    error = FileError(file="bob.py", error_type="Exception", exception="E", message="\ud83d")
    assert json.loads(encoded(error))["message"] == "\ufffd"


def test_a_report_has_the_fields_of_the_contract() -> None:
    """The report has exactly the documented fields, in the documented order."""
    document = json.loads(report().model_dump_json())
    assert tuple(document) == FIELDS
    assert list(document["changes"]) == ["added", "removed", "modified", "unchanged"]
    assert list(document["sessions"]) == ["policy", "total", "affected"]
    assert list(document["serving"]) == ["generation", "revision", "characters"]
    assert list(document["timings"]) == ["queue", "snapshot", "build", "swap"]


@pytest.mark.parametrize("field", ["outcome", "trigger"])
def test_labels_are_bounded(field: str) -> None:
    """The fields that are metric labels have a fixed set of values."""
    with pytest.raises(ValidationError, match=field):
        report(**{field: "whatever"})


def test_a_report_is_frozen() -> None:
    """A report cannot be changed."""
    with pytest.raises(ValidationError):
        report().success = False


@pytest.mark.parametrize(("generation", "expected"), [(7, 7), (7.0, 7), (0.0, 0)])
def test_a_whole_number_is_a_generation(generation: float, expected: int) -> None:
    """JSON Schema counts 7.0 among the integers, so a rollback accepts it."""
    request = RollbackRequest.model_validate({"generation": generation})
    assert (request.generation, type(request.generation)) == (expected, int)


@pytest.mark.parametrize("generation", [7.5, -1.0, True, "7"])
def test_any_other_value_is_no_generation(generation: object) -> None:
    """A generation is never rounded or parsed."""
    with pytest.raises(ValidationError):
        RollbackRequest.model_validate({"generation": generation})
