"""A set that was built waits for consent before it serves, and may be that of another machine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from charhost.errors import ReloadCode, ReloadRejected, RolloutEnded, Withheld
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.attempt import Attempt
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.reload.swap import Swap
from charhost.report import ReloadReport
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import Write, loaded_manager, state

CHANGED = ReloadRequest(scope="changed", on_error="abort")


@dataclass
class Agreement:
    """Lets every set serve as a certain generation, unless there is a refusal."""

    generation: int = 40
    refusal: Withheld | RolloutEnded | None = None
    asked: list[tuple[Swap, str]] = field(default_factory=list)
    manager: CharacterManager | None = None

    async def ask(self, attempt: Attempt, swap: Swap) -> int:
        assert self.manager is not None
        self.asked.append((swap, self.manager.current.etag))
        if self.refusal is not None:
            raise self.refusal
        return self.generation

    async def confirm(self, attempt: Attempt) -> None:
        assert self.manager is not None
        assert self.manager.current.generation == self.generation


@pytest.fixture
async def manager(directory: Path) -> CharacterManager:
    """A manager whose reloads need consent."""
    manager = await loaded_manager(Settings(directory=directory))
    manager.consent = Agreement(manager=manager)
    return manager


def agreement(manager: CharacterManager) -> Agreement:
    assert isinstance(manager.consent, Agreement)
    return manager.consent


async def of_another_machine(directory: Path, generation: int = 7) -> StoredSet:
    """Return the set that a server on another machine would serve from *directory*."""
    other = await loaded_manager(Settings(directory=directory))
    return StoredSet.of(other.current.numbered(generation))


async def test_consent_is_asked_before_the_swap_and_numbers_the_set(manager: CharacterManager, write: Write) -> None:
    """The set serves as the agreed generation; what was carried over keeps its own."""
    before = manager.current.etag
    write("bob.py", character("Bob"))
    report = await manager.reload_characters(CHANGED)
    ((swap, serving),) = agreement(manager).asked
    assert (serving, sorted(swap.after)) == (before, ["Ada", "Bob"])
    assert (report.generation, report.serving.generation, manager.current.generation) == (40, 40, 40)
    assert {name: one.generation for name, one in manager.current.items()} == {"Ada": 1, "Bob": 40}


async def test_without_consent_nothing_changes(manager: CharacterManager, write: Write) -> None:
    """A set that may not serve refuses the reload with the code and the sentence of the refusal."""
    write("bob.py", character("Bob"))
    before = state(manager)
    agreement(manager).refusal = Withheld(ReloadCode.FLEET_REFUSED, "n3 cannot build it.")
    with pytest.raises(ReloadRejected, match=r"n3 cannot build it\.") as caught:
        await manager.reload_characters(CHANGED)
    assert (caught.value.code, state(manager)) == (ReloadCode.FLEET_REFUSED, before)


async def test_the_first_load_and_an_unchanged_directory_need_no_consent(manager: CharacterManager) -> None:
    """Consent is asked only for a set that differs from the current one."""
    await manager.reload_characters(CHANGED)
    await manager.reload_characters(trigger="startup")
    assert agreement(manager).asked == []


async def test_a_set_of_another_machine_is_built_from_its_bytes(
    manager: CharacterManager, tmp_path: Path, directory: Path
) -> None:
    """It serves under the path of that machine, also outside the allowed roots; the directory here stays the same."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "eve.py").write_text(character("Eve", "Be odd."))
    stored = await of_another_machine(tmp_path / "there")
    (tmp_path / "there" / "eve.py").unlink()
    report = await manager.reload_characters(CHANGED, stored, trigger="fleet")
    assert (report.outcome, report.generation, prompt(manager, "Eve")) == ("applied", 40, "Be odd.")
    assert (manager.current.directory, manager.home) == (str(tmp_path / "there"), str(directory))
    assert (await manager.reload_characters(ReloadRequest())).directory == str(directory)


async def test_a_set_of_another_machine_carries_over_what_serves_already(
    manager: CharacterManager, directory: Path, write: Write
) -> None:
    """With `changed` only the characters of changed files are executed, and an equal set still gets its number."""
    ada = manager.current["Ada"]
    write("bob.py", character("Bob"))
    stored = await of_another_machine(directory)
    await manager.reload_characters(CHANGED, stored, trigger="fleet")
    assert manager.current["Ada"] is ada
    agreement(manager).generation = 41
    report = await manager.reload_characters(CHANGED, stored, trigger="fleet")
    assert (report.outcome, manager.current.generation, manager.current["Ada"] is ada) == ("applied", 41, True)


async def test_a_change_that_was_made_before_another_set_came_is_still_seen(
    manager: CharacterManager, directory: Path, write: Write
) -> None:
    """A set of another machine leaves what was last applied as it was, so a watcher sees the change of the disk."""
    stored, applied = await of_another_machine(directory), manager.applied
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters(CHANGED, stored, trigger="fleet")
    assert (manager.applied is applied, manager.is_restored) == (True, True)


async def test_the_first_set_of_another_machine_notes_the_disk(directory: Path) -> None:
    """A server that begins with the set of another machine holds its own directory until that changes."""
    manager = CharacterManager(Settings(directory=directory), Metrics())
    await manager.reload_characters(CHANGED, await of_another_machine(directory), trigger="fleet")
    assert manager.applied is not None
    assert manager.applied.directory == directory


async def test_a_set_that_others_decided_against_ends_for_the_listeners(
    manager: CharacterManager, write: Write
) -> None:
    """A reload that began, and of which another node is the cause that nothing changes, is reported as ended."""
    write("bob.py", character("Bob"))
    begun: list[Attempt] = []
    ended: list[ReloadReport] = []
    manager.listen(ended.append, begun.append)
    agreement(manager).refusal = RolloutEnded("another one has come")
    with pytest.raises(RolloutEnded):
        await manager.reload_characters(CHANGED)
    assert [one.reload_id for one in begun] == [one.reload_id for one in ended]
    assert (ended[0].outcome, ended[0].message, list(manager.current)) == ("failed", "another one has come", ["Ada"])


async def test_a_shutdown_while_others_are_waited_for_undoes_no_set_that_serves(
    manager: CharacterManager, directory: Path, write: Write
) -> None:
    """A reload that waits for other nodes when the server ends is reported as what it is: applied."""
    confirming = asyncio.Event()

    async def confirm(attempt: Attempt) -> None:
        confirming.set()
        await asyncio.Event().wait()

    agreement(manager).confirm = confirm  # type: ignore[method-assign]
    write("ada.py", character("Ada", "Be brief."))
    reloading = asyncio.create_task(manager.reload_characters(CHANGED))
    await confirming.wait()
    await manager.close(0)
    report = await reloading
    assert (report.outcome, report.generation, prompt(manager)) == ("applied", 40, "Be brief.")
