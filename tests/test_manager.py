"""What a reload promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.errors import ReloadRejected
from charhost.manager import CharacterManager
from tests.conftest import character, prompt


async def test_reload_replaces_the_set(manager: CharacterManager, write: Callable[[str, str], Path]) -> None:
    """After a reload the current set is what the directory holds."""
    write("ada.py", character("Ada", "Be brief."))
    report = await manager.reload_characters()
    assert (report.outcome, report.generation, prompt(manager)) == ("applied", 2, "Be brief.")


async def test_broken_file_leaves_current_set_serving(
    manager: CharacterManager, write: Callable[[str, str], Path]
) -> None:
    """A refused reload changes nothing and says which file failed."""
    before = manager.current
    write("pirate.py", "raise RuntimeError('arr')")
    with pytest.raises(ReloadRejected, match=r"pirate\.py:1: RuntimeError: arr"):
        await manager.reload_characters(on_error="abort")
    assert manager.current is before
