"""Character sets without a server."""

from __future__ import annotations

from pathlib import Path

from charhost.metrics import Metrics
from charhost.reload.set_records import MemoryRecords
from charhost.reload.swap import NoSessions
from charhost.sets.character_sets import CharacterSets
from charhost.settings import Settings
from charhost.threads.worker_pool import WorkerPool
from tests.conftest import character


def sets_of(home: Path, **named: tuple[str, ...]) -> CharacterSets:
    """Return sets with characters of these names, that called `default` first; none is loaded yet."""
    for name, characters in named.items():
        (home / name).mkdir()
        for one in characters:
            (home / name / f"{one.lower()}.py").write_text(character(one))
    others = [f"{name}={home / name}" for name in named if name != "default"]
    settings = Settings(directory=home / "default", set=others)
    return CharacterSets(settings, Metrics(), NoSessions(), WorkerPool(), MemoryRecords())
