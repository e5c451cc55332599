"""The exceptions of charhost, and the codes of refused reloads."""

from __future__ import annotations

import inspect

import pytest

from charhost import errors
from charhost.errors import CharhostError, LoadTimeout, ReloadCode, ReloadRejected, SetNotFound
from charhost.report import FileError
from tests.reports import report


def test_every_exception_has_one_base() -> None:
    """What charhost raises on purpose can be caught as one; only the end of a job is no `Exception`."""
    found = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BaseException)]
    assert [one for one in found if not issubclass(one, (CharhostError, LoadTimeout))] == []
    assert not issubclass(LoadTimeout, Exception)


def test_tree_has_every_exception() -> None:
    """The tree in the docstring names each class of the module."""
    found = [name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BaseException)]
    assert [name for name in found if name not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize(("code", "is_fault"), [(ReloadCode.SET_REJECTED, False), (ReloadCode.INTERNAL_ERROR, True)])
def test_code_has_its_status(code: ReloadCode, is_fault: bool) -> None:
    """A code is its text, with a status and a meaning."""
    assert code == code.value
    assert code.is_server_fault == is_fault
    assert code.meaning.endswith(".")


def test_rejection_names_the_files() -> None:
    """The text of a rejected reload has its message and each error, and its detail the message alone."""
    error = FileError(file="bob.py", line=12, error_type="SyntaxError", exception="SyntaxError", message="bad")
    rejected = ReloadRejected(ReloadCode.SET_REJECTED, report(message="No.", errors=(error,)))
    assert str(rejected) == f"No.\n  {error}"
    assert rejected.detail == "No."


def test_unknown_set_is_named() -> None:
    """The name is quoted, so that a strange one is seen."""
    assert SetNotFound("a b").detail == "There is no character set called 'a b'."
