"""An environment without settings."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of this machine."""
    for variable in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(variable)
