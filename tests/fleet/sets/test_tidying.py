"""The engine keeps the bytes of the last epochs, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.fleet.sets import rollout
from charhost.fleet.sets.tidying import tidy
from charhost.loading.snapshot import Limits
from charhost.reload.request import ReloadRequest
from tests.conftest import character, prompt
from tests.fleet.cluster import cluster, eventually

LIMITS = Limits(100, 1 << 20, 1 << 20)


async def test_only_bytes_of_dropped_epochs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Young blobs stay, as another node may just be storing a set; what a kept epoch needs stays whatever its age."""
    monkeypatch.setattr(rollout, "MOST_EPOCHS", 2)
    async with cluster(tmp_path, "n1") as made:
        n1 = made.members["n1"]
        for version in range(4):
            n1.write("ada.py", character("Ada", f"Version {version}."))
            await n1.reload()
        blobs = made.store.names("bytes")
        assert await tidy(n1.fleet.node, LIMITS) == 0
        # Of five sets the last two stay, each with a pack and a root.
        assert await tidy(n1.fleet.node, LIMITS, youngest=-1) == len(blobs) - 4
        stored = await n1.shared.stored(4)
        assert stored is not None
        await n1.manager.reload_characters(ReloadRequest(on_error="abort"), stored, trigger="rollback")
        assert prompt(n1.manager) == "Version 2."
        late = await made.start("n2")
        await eventually(lambda: late.epoch == n1.epoch)


async def test_the_base_of_a_difference_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that is described by another one needs the bytes of that, also when its epoch is dropped."""
    monkeypatch.setattr(rollout, "MOST_EPOCHS", 1)
    async with cluster(tmp_path, "n1") as made:
        n1 = made.members["n1"]
        for number in range(20):
            n1.write(f"c{number:02}.py", character(f"C{number}"))
        await n1.reload()
        n1.write("c00.py", character("C0", "Saved."))
        await n1.reload()
        assert len(made.store.names("bytes")) == 6
        # The root of the first set; its file is one of the others, too.
        assert await tidy(n1.fleet.node, LIMITS, youngest=-1) == 1
        late = await made.start("n2")
        await eventually(lambda: late.epoch == n1.epoch)
