"""A manager with its metrics, and characters that record each execution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from charhost.settings import Settings
from tests.conftest import character

BROKEN = "def broken(:\n"


def using(name: str, helper: str) -> str:
    """Return the source of a character whose prompt is `WORDS` of a helper."""
    return f"from characters.{helper} import WORDS\n{character(name)}\nINSTRUCTIONS = {{'text': WORDS}}\n"


def noting(name: str, notes: Path, then: str = "") -> str:
    """Return the source of a character that appends its name to *notes* each time it is executed."""
    return f"with open({str(notes)!r}, 'a') as notes:\n    notes.write({name!r} + ' ')\n{then}\n{character(name)}"


def runs(notes: Path) -> list[str]:
    """Return the names of the characters that were executed, in order."""
    return notes.read_text().split() if notes.exists() else []


class Reloader:
    """A manager and its metrics; `changed` is the reload that the watcher requests."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.manager = CharacterManager(settings, self.metrics)

    async def changed(self, **fields: Any) -> ReloadReport:
        return await self.manager.reload_characters(ReloadRequest(**{"scope": "changed", **fields}))

    async def keep(self, **fields: Any) -> ReloadReport:
        return await self.changed(on_error="keep", **fields)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"charhost_{name}")
