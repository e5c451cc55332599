"""Helpers of the tests of a reload: a character file that waits in a load, the state to compare, and recorded swaps."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from prometheus_client import CollectorRegistry

from charhost.character.character import Character, CharacterSet
from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory
from charhost.reload.loader import Build, Loader
from charhost.reload.loader_context import LoaderContext
from charhost.reload.manager import CharacterManager
from charhost.reload.request import RollbackRequest
from charhost.reload.swap import Swap
from charhost.report import ReloadReport, Serving, SessionImpact
from charhost.settings import Settings

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
        """Block until the test opens the gate; called by the character file."""
        self.reached.set()
        assert self.opened.wait(60)

    async def until_reached(self) -> None:
        """Wait until a character file has come to the gate."""
        assert await asyncio.to_thread(self.reached.wait, 60)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds: the event loop ends what nothing refers to."""
    async with asyncio.timeout(60):
        while not holds():
            gc.collect()
            await asyncio.sleep(0)


def state(manager: CharacterManager) -> tuple[object, ...]:
    """Return everything that a failed reload must leave unchanged, down to the identity of the objects."""
    current = manager.current
    characters = [(name, id(found), id(found.prompt_generator)) for name, found in current.items()]
    return id(current), current.generation, current.revision, current.directory, characters


def module_of(character: Character) -> str:
    """Return the name in `sys.modules` of the module that a character came from."""
    namespace = character.prompt_generator.make_system_prompt.__globals__
    return str(namespace["__spec__"].name)


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


class RecordingSessions:
    """Open sessions that record each swap, and the set that was current at that moment."""

    def __init__(self) -> None:
        self.swaps: list[tuple[Swap, CharacterSet]] = []
        self.manager: CharacterManager | None = None

    def impact(self, swap: Swap) -> SessionImpact:
        return SessionImpact(policy=swap.policy, total=3, affected=2)

    def follow(self, swap: Swap) -> None:
        assert self.manager is not None
        self.swaps.append((swap, self.manager.current))


async def loaded_manager(settings: Settings, sessions: RecordingSessions | None = None) -> CharacterManager:
    """Return a manager that has loaded the directory of *settings*."""
    manager = CharacterManager(settings, Metrics(), sessions)
    if sessions is not None:
        sessions.manager = manager
    await manager.reload_characters(trigger="startup")
    return manager


async def roll_back(
    manager: CharacterManager, generation: int | None = None, etags: tuple[str, ...] | None = None, **fields: Any
) -> ReloadReport:
    """Roll back as the endpoint does."""
    request = RollbackRequest(**fields).as_reload
    return await manager.reload_characters(request, FromHistory(generation), trigger="rollback", etags=etags)


def loader_of(directory: Path, **settings: Any) -> Loader:
    return Loader(Settings(directory=directory, **settings), LoaderContext())


async def build(directory: Path, loader: Loader | None = None, generation: int = 1, **settings: Any) -> Build:
    """Load the files of the directory once."""
    loader = loader or loader_of(directory, **settings)
    return await loader.build(await loader.snapshot(directory), str(directory), generation)
