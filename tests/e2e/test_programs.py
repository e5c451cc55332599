"""Programs written with the packages that people use as clients, each in an environment of its own."""

from __future__ import annotations

import pytest

from tests.e2e.programs.conversations import Conversations, program, running

__all__ = ["program", "running"]

pytestmark = pytest.mark.slow


class TestPrograms(Conversations):
    """Each program against one server."""
