"""The store keeps the last attempts and sets."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.store import MOST_ATTEMPTS, MOST_SETS, MemoryStore, Store
from charhost.report import DEFAULT_SET
from charhost.settings import Settings
from charhost.storage.state_file import StateFile
from tests.conftest import character
from tests.reload.helpers import Write, report


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store of each kind, in memory and in a file."""
    if request.param == "memory":
        yield MemoryStore()
        return
    file = StateFile(tmp_path / "state.db")
    await file.open()
    yield file.sets.history(DEFAULT_SET)
    await file.close()


@pytest.fixture
async def manager(settings: Settings, store: Store) -> CharacterManager:
    """A manager with that store, which has loaded the directory."""
    manager = CharacterManager(settings, Metrics(), store=store)
    await manager.reload_characters(trigger="startup")
    return manager


async def fill(store: Store, count: int) -> None:
    """Record *count* attempts, each of which applied a set."""
    for number in range(1, count + 1):
        await store.record(report(number), StoredSet(number, "/characters", "", ()))


async def test_attempts_are_returned_newest_first(store: Store) -> None:
    """Attempts are returned newest first, at most as many as requested."""
    await fill(store, 3)
    assert [one.reload_id for one in await store.attempts(2)] == ["3", "2"]
    assert [one.reload_id for one in await store.attempts(100)] == ["3", "2", "1"]


async def test_the_last_hundred_attempts_and_twenty_sets_are_kept(store: Store) -> None:
    """The last 100 attempts and the last 20 sets are kept, and older ones are dropped."""
    count = MOST_ATTEMPTS + 1
    await fill(store, count)
    assert (MOST_ATTEMPTS, MOST_SETS) == (100, 20)
    assert len(await store.attempts(1000)) == MOST_ATTEMPTS
    assert (await store.attempt("1"), (await store.attempt("2")) is not None) == (None, True)
    assert await store.generations() == tuple(range(count, count - MOST_SETS, -1))
    assert await store.stored(count - MOST_SETS) is None
    assert await store.stored(count - MOST_SETS + 1) is not None


async def test_an_attempt_without_a_set_takes_no_place_of_a_set(store: Store) -> None:
    """Refused reloads drop no set from the history."""
    await fill(store, 1)
    for number in range(2, 50):
        await store.record(report(number), None)
    assert await store.generations() == (1,)


async def test_content_that_did_not_change_is_kept_once(manager: CharacterManager, write: Write) -> None:
    """Stored sets share the bytes of equal files."""
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    write("bob.py", character("Bob", "Be brief."))
    await manager.reload_characters()
    older, newer = [await manager.store.stored(generation) for generation in (2, 3)]
    assert older is not None
    assert newer is not None
    ada, bob = ([one.members[index].snapshot.files for one in (older, newer)] for index in (0, 1))
    assert ada[0]["ada.py"] is ada[1]["ada.py"]
    assert bob[0]["bob.py"] is not bob[1]["bob.py"]


async def test_history_keeps_no_module_and_no_character_alive(manager: CharacterManager, write: Write) -> None:
    """The history keeps only the bytes of old sets, not their modules or characters (promise 25)."""
    old = weakref.ref(manager.current["Ada"].prompt_generator)
    space = weakref.ref(manager.current["Ada"].modules)
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    gc.collect()
    gc.collect()  # what the first one finalized
    assert (old(), space()) == (None, None)
    assert await manager.store.stored(1) is not None
