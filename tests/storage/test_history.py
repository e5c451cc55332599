"""The history of a set in the state file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from charhost.errors import StateError
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.store import MOST_SETS, Generations
from charhost.report import DEFAULT_SET
from charhost.storage.state_file import StateFile
from tests.reload.helpers import report
from tests.storage.files import asked, connection, essentials, opened, snapshot, stored_set


async def test_a_set_is_read_as_it_was_written(path: Path) -> None:
    """Paths, bytes, order and times, also of names that are not UTF-8, by another process too."""
    odd = os.fsdecode(b"caf\xe9.py")
    applied = stored_set(7, {"ada.py": "A = 1\r\n", odd: "B = '\N{SNOWMAN}'", "resources/x.py": ""})
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(7), applied)
        assert essentials(await file.sets.history(DEFAULT_SET).stored(7)) == essentials(applied)
    async with opened(path) as file:
        assert essentials(await file.sets.history(DEFAULT_SET).stored(7)) == essentials(applied)
        assert await file.sets.history(DEFAULT_SET).attempts(9) == (report(7),)


async def test_each_content_is_kept_once(path: Path) -> None:
    """Files that did not change, and equal ones, take one place; an edit adds a row or two, not a directory."""
    files = {f"c{number}.py": "the same" for number in range(100)} | {"own.py": "own"}
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, files))
        await file.sets.history(DEFAULT_SET).record(report(2), stored_set(2, files | {"c5.py": "edited"}))
        await file.sets.history(DEFAULT_SET).record(report(3), stored_set(3, files, "/srv/other"))
    assert asked(path, "SELECT count(*) FROM contents") == [(3,)]
    assert asked(path, "SELECT count(*) FROM files") == [(101 + 1 + 101,)]


async def test_what_no_set_needs_is_dropped(path: Path) -> None:
    """After twenty other sets nothing is left of the first, nor of a directory without a set."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, {"old.py": "old"}, "/srv/old"))
        for number in range(2, MOST_SETS + 2):
            await file.sets.history(DEFAULT_SET).record(report(number), stored_set(number, {"ada.py": f"# {number}"}))
    assert asked(path, "SELECT count(*) FROM contents") == [(MOST_SETS,)]
    assert asked(path, "SELECT path FROM directories") == [(b"/srv/characters",)]
    assert asked(path, "SELECT count(*) FROM snapshots") == [(MOST_SETS,)]


async def test_what_served_before_is_not_held_in_memory(path: Path) -> None:
    """A server that has begun knows which set that was; the bytes stay in the file."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(7), stored_set(7, {"ada.py": "A = 1"}))
    async with opened(path) as file:
        generations = Generations(file.sets.history(DEFAULT_SET), Metrics())
        await generations.recover()
        assert generations.former is not None
        await connection(file).submit(lambda _: None)  # the thread has let go of its last result
        assert (generations.former.generation, len(file.sets.history(DEFAULT_SET)._alive)) == (7, 0)


@pytest.mark.parametrize("seed", range(6))
async def test_a_long_history_is_read_as_it_was(path: Path, seed: int) -> None:
    """A long history of several directories, edits and restarts is read as it was written."""
    chance, kept = Random(seed), {}
    disks: dict[str, dict[str, str]] = {"/srv/one": {}, "/srv/two": {}}
    alive: dict[str, list[Snapshot]] = {directory: [] for directory in disks}
    file = StateFile(path)
    await file.open()
    for generation in range(1, 80):
        directory = chance.choice(list(disks))
        disk = disks[directory]
        for _ in range(chance.randrange(3)):
            disk[f"c{chance.randrange(6)}.py"] = chance.choice("abcdef")
        if disk and chance.random() < 0.3:
            del disk[chance.choice(list(disk))]
        if not disk:
            disk["c0.py"] = "a"
        now = snapshot(disk, directory, generation)
        alive[directory] = [now, *alive[directory]][:4]
        members = []
        for name in disk:
            earlier = [one for one in alive[directory] if name in one.files]
            members.append(Member(chance.choice(earlier), name, f"sha256:{name}"))
        applied = StoredSet(generation, directory, f"sha256:{generation}", tuple(members), now.disk_revision)
        await file.sets.history(DEFAULT_SET).record(report(generation), applied)
        kept[generation] = essentials(applied)
        if chance.random() < 0.1:
            await file.close()
            file = StateFile(path)
            await file.open()
            # What a rollback makes again has the snapshots that the file gave out.
            found = await file.sets.history(DEFAULT_SET).stored(
                chance.choice(await file.sets.history(DEFAULT_SET).generations())
            )
            assert found is not None
            newest = snapshot(disks[found.directory], found.directory, generation)
            alive[found.directory] = [*(member.snapshot for member in found.members[:4]), newest]
    generations = await file.sets.history(DEFAULT_SET).generations()
    assert generations == tuple(range(79, 79 - MOST_SETS, -1))
    for generation in generations:
        assert essentials(await file.sets.history(DEFAULT_SET).stored(generation)) == kept[generation]
    await file.close()
    async with opened(path) as file:
        for generation in generations:
            assert essentials(await file.sets.history(DEFAULT_SET).stored(generation)) == kept[generation]


async def test_a_write_that_failed_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed write leaves nothing behind, and the next one is complete."""
    first, second = {"ada.py": "one", "bob.py": "one"}, {"ada.py": "two"}
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, first))
        with monkeypatch.context() as patch:
            patch.setattr("charhost.storage.history.MOST_SETS", "none")  # SQLite refuses the last statement
            with pytest.raises(StateError, match="cannot be written: datatype mismatch"):
                await file.sets.history(DEFAULT_SET).record(report(2), stored_set(2, second))
        assert (
            await file.sets.history(DEFAULT_SET).generations(),
            len(await file.sets.history(DEFAULT_SET).attempts(9)),
        ) == ((1,), 1)
        third = stored_set(3, second | {"bob.py": "one"})
        await file.sets.history(DEFAULT_SET).record(report(3), third)
        assert essentials(await file.sets.history(DEFAULT_SET).stored(3)) == essentials(third)
        assert essentials(await file.sets.history(DEFAULT_SET).stored(1)) == essentials(stored_set(1, first))


async def test_bytes_that_were_changed_are_not_given_out(path: Path) -> None:
    """Changed bytes are not returned, since they would be executed: each content is compared with its digest (promise
    10)."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, {"ada.py": "print('Ada')"}))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE contents SET data = ?", (b"print('Eve')",))
        connection.commit()
    async with opened(path) as file:
        with pytest.raises(StateError, match=r"damaged: the content of /srv/characters/ada\.py was changed"):
            await file.sets.history(DEFAULT_SET).stored(1)


async def test_a_set_that_goes_on_after_a_restart_takes_no_more_room(path: Path) -> None:
    """A set that continues after a restart is stored only once."""
    for _ in range(3):
        async with opened(path) as file:
            applied = stored_set(1, {"ada.py": "Ada"})
            await file.sets.history(DEFAULT_SET).record(
                report(1).model_copy(update={"reload_id": os.urandom(4).hex()}), applied
            )
    assert asked(path, "SELECT count(*) FROM snapshots") == [(1,)]
