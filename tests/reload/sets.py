"""Runs each test for the default set and for a named one."""

from __future__ import annotations

import pytest

from charhost.reload.manager import CharacterManager
from charhost.report import DEFAULT_SET

BOTH = [DEFAULT_SET, pytest.param("gaming", marks=pytest.mark.slow)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test of the folder twice, but for those of what is promised of the default set only."""
    if next(metafunc.definition.iter_markers("of_default_set"), None) is None:
        metafunc.parametrize("set_name", BOTH, indirect=True)


@pytest.fixture(autouse=True)
def set_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the set of every manager that a test makes without one."""
    name = str(getattr(request, "param", DEFAULT_SET))
    defaults = CharacterManager.__init__.__defaults__ or ()
    monkeypatch.setattr(CharacterManager.__init__, "__defaults__", (*defaults[:-1], name))
    return name
