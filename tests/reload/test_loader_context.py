"""The parts that all loaders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.reload.loader import Loader
from charhost.reload.loader_context import LoaderContext
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import until

pytestmark = pytest.mark.of_default_set


async def test_files_of_all_builds_that_live_are_counted(tmp_path: Path) -> None:
    """A file counts once in each build that has executed it, as long as a character of that build is held."""
    for name in ("ada", "zoe"):
        (tmp_path / f"{name}.py").write_text(character(name))
    context = LoaderContext()
    loader = Loader(Settings(directory=tmp_path), context)
    snapshot = await loader.snapshot(tmp_path)
    first = await loader.build(snapshot, str(tmp_path), 1)
    assert context.files_alive == 2
    second = await loader.build(snapshot, str(tmp_path), 2)
    assert context.files_alive == 4
    del first
    await until(lambda: context.files_alive == 2)
    assert second.executed == 2
