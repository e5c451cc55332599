"""The swap: readers see the old set or the new one, and sessions are notified after it."""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import Any

import pytest

from charhost.errors import ReloadRejected
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.reload.swap import Swap
from charhost.report import SessionImpact
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import TAGGED, Gate, RecordingSessions, Write, loaded_manager, state


async def test_readers_never_see_a_mixture(manager: CharacterManager, write: Write) -> None:
    """Two characters with a tag from one helper always agree, through a hundred reloads (promise 6)."""
    for name in ("Ada", "Bob"):
        source = character(name)
        write(f"{name.lower()}.py", source[: source.index("    def make_system_prompt")] + TAGGED)
    write("resources/build.py", "TAG = 0")
    await manager.reload_characters()
    stop, seen = threading.Event(), set[tuple[int, int]]()

    def read() -> None:
        while not stop.wait(0.0005):
            current = manager.current
            ada, bob = (current[name].prompt_generator({}).make_system_prompt() for name in ("Ada", "Bob"))
            seen.add((ada, bob))

    reading = asyncio.create_task(asyncio.to_thread(read))
    for tag in range(1, 101):
        write("resources/build.py", f"TAG = {tag}")
        await manager.reload_characters()
        assert (prompt(manager, "Ada"), prompt(manager, "Bob")) == (tag, tag)
    stop.set()
    await reading
    assert len(seen) > 10
    assert all(ada == bob for ada, bob in seen)


async def test_an_old_character_imports_from_its_own_build(manager: CharacterManager, write: Write) -> None:
    """A replaced character keeps its helpers, also for an import after the reload (promise 10)."""
    source = character("Ada")
    write("ada.py", source[: source.index("    def make_system_prompt")] + TAGGED)
    write("resources/build.py", "TAG = 'old'")
    await manager.reload_characters()
    old = manager.current["Ada"]
    write("resources/build.py", "TAG = 'new'")
    await manager.reload_characters()
    assert (old.prompt_generator({}).make_system_prompt(), prompt(manager)) == ("old", "new")


async def test_the_old_set_serves_until_the_new_one_is_complete(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """While files load, the old set serves unchanged (promise 7)."""
    before = state(manager)
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", f"{character('Bob')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    assert (state(manager), prompt(manager)) == (before, "Be kind.")
    gate.opened.set()
    await reload
    assert [prompt(manager, name) for name in manager.current] == ["Be brief.", "Be kind."]


@pytest.mark.of_default_set
@pytest.mark.parametrize(("bob", "dry_run"), [("def broken(:", False), (character("Bob"), True)])
async def test_only_a_set_that_serves_is_published(
    manager: CharacterManager, write: Write, bob: str, dry_run: bool
) -> None:
    """After a refused reload and after a dry run a computed import finds the helper of the set that serves."""
    write("_tag.py", "TAG = 'one'")
    write("ada.py", f"from ._tag import TAG\n{character('Ada')}")
    await manager.reload_characters()
    write("_tag.py", "TAG = 'two'")
    write("bob.py", bob)
    request = ReloadRequest(on_error="abort", dry_run=dry_run)
    await asyncio.gather(manager.reload_characters(request), return_exceptions=True)
    assert (manager.current.generation, importlib.import_module("characters._tag").TAG) == (2, "one")


async def test_sessions_are_notified_at_the_swap(settings: Settings, write: Write) -> None:
    """Sessions are notified once, when the new set is current, and the report has their count."""
    sessions = RecordingSessions()
    manager = await loaded_manager(settings, sessions)
    sessions.swaps.clear()
    before = manager.current
    write("bob.py", character("Bob"))
    report = await manager.reload_characters(ReloadRequest(sessions="keep"))
    ((swap, serving),) = sessions.swaps
    assert (swap.before, swap.after, serving) == (before, manager.current, manager.current)
    assert report.sessions == SessionImpact(policy="keep", total=3, affected=2)


async def test_no_turn_of_the_loop_passes_between_swap_and_notification(settings: Settings, write: Write) -> None:
    """The new set is not visible before the sessions are notified: none that opens with it is closed (promise 8)."""
    sessions, seen = RecordingSessions(), list[int]()
    manager = await loaded_manager(settings, sessions)
    follow, seen_before = sessions.follow, list[list[int]]()

    def noted(swap: Swap) -> None:
        seen_before.append(seen.copy())
        follow(swap)

    async def watch() -> None:
        while True:
            seen.append(manager.current.generation)
            await asyncio.sleep(0)

    sessions.follow = noted  # type: ignore[method-assign]
    watching = asyncio.create_task(watch())
    await manager.reload_characters()
    watching.cancel()
    assert [set(generations) for generations in seen_before] == [{1}]


@pytest.mark.parametrize("fields", [{"on_error": "abort"}, {"dry_run": True}, {"directory": "/nowhere"}])
async def test_sessions_are_not_notified_without_a_swap(
    settings: Settings, write: Write, fields: dict[str, Any]
) -> None:
    """Neither a refused reload nor a dry run is passed to the sessions (promise 9)."""
    sessions = RecordingSessions()
    manager = await loaded_manager(settings, sessions)
    sessions.swaps.clear()
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", "def broken(:")
    await asyncio.gather(manager.reload_characters(ReloadRequest(**fields)), return_exceptions=True)
    assert sessions.swaps == []
    assert manager.current.generation == 1


async def test_a_refused_reload_affects_no_session(settings: Settings) -> None:
    """The report of a refused reload counts the sessions, none of them as affected."""
    manager = await loaded_manager(settings, RecordingSessions())
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(directory="/nowhere"))
    assert caught.value.report.sessions == SessionImpact(policy="close", total=3, affected=0)
