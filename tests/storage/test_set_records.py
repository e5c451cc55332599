"""The histories of all sets in the state file."""

from __future__ import annotations

from pathlib import Path

from charhost.reload.set_records import SetDefinition
from charhost.report import DEFAULT_SET
from tests.reload.helpers import report
from tests.storage.files import asked, essentials, opened, stored_set


async def test_histories_of_sets_do_not_meet(path: Path) -> None:
    """Each set has generations and reports of its own, which go when it is removed; the others keep theirs."""
    async with opened(path) as file:
        ours, theirs = file.sets.history(DEFAULT_SET), file.sets.history("gaming")
        await ours.record(report(1), stored_set(1, {"ada.py": "A = 1"}))
        await theirs.record(report(2), stored_set(1, {"zed.py": "Z = 1"}, "/srv/games"))
        await file.sets.add(SetDefinition("gaming", "/srv/games", watch=True))
        assert [[one.reload_id for one in await store.attempts(9)] for store in (ours, theirs)] == [["1"], ["2"]]
        assert await theirs.attempt("1") is None
        assert await file.sets.added() == (SetDefinition("gaming", "/srv/games", watch=True),)
        await file.sets.remove("gaming")
        theirs = file.sets.history("gaming")
        assert (await theirs.generations(), await theirs.attempts(9), await file.sets.added()) == ((), (), ())
        assert essentials(await ours.stored(1)) == essentials(stored_set(1, {"ada.py": "A = 1"}))
    assert asked(path, "SELECT count(*) FROM contents") == [(1,)]
