"""Helpers of the tests that reload: a place to wait in a load, and the state to compare."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from prometheus_client import CollectorRegistry

from charhost.reload.manager import CharacterManager
from charhost.report import ReloadReport, Serving, SessionImpact

# The type of the fixture `write`: writes a character file of that name and text.
Write = Callable[[str, str], Path]

# A class body that reads its prompt from a helper, imported when it is asked.
TAGGED = """
    def make_system_prompt(self):
        from characters.resources.build import TAG
        return TAG
"""


class Gate(ModuleType):
    """The module `gate` of a character file, in which it waits in the middle of a load."""

    def __init__(self) -> None:
        super().__init__("gate")
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait(self) -> None:
        """Called by the character file."""
        self.reached.set()
        assert self.opened.wait(20)

    async def until_reached(self) -> None:
        """Wait until a character file waits."""
        assert await asyncio.to_thread(self.reached.wait, 20)


def state(manager: CharacterManager) -> tuple[object, ...]:
    """Return everything that a failed reload must leave unchanged, down to the identity of the objects."""
    current = manager.current
    characters = [(name, id(found), id(found.prompt_generator)) for name, found in current.items()]
    return id(current), current.generation, current.revision, current.directory, characters


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Return the value of a metric."""
    return registry.get_sample_value(name, labels)


def report(number: int) -> ReloadReport:
    """Return the report of one reload."""
    return ReloadReport(
        success=True,
        directory="/characters",
        message="done",
        reload_id=str(number),
        outcome="applied",
        trigger="http",
        scope="all",
        dry_run=False,
        reason=None,
        generation=number,
        revision="",
        started_at="",
        sessions=SessionImpact(policy="close"),
        serving=Serving(generation=number, revision="", characters=0),
    )
