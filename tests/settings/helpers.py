"""Settings that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.errors import SettingsError
from charhost.settings import (
    Settings,
)


def refusal(**values: Any) -> str:
    """Return the error of settings that are refused."""
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    return str(caught.value)
