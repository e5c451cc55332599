"""A file that does not load never ends the watcher, and leaves the last good version."""

from __future__ import annotations

from tests.conftest import character, prompt
from tests.watch.edits import write_in_place
from tests.watch.helpers import Watched, eventually, on_disk


async def test_emptied_directory_leaves_the_set(watched: Watched) -> None:
    """A directory without characters is refused, and serves again when its files are back (promises 11, 22)."""
    away = watched.directory.with_name("away")
    away.mkdir()
    for file in watched.directory.glob("*.py"):
        file.rename(away / file.name)
    while (await watched.report()).total_files:
        pass
    assert len(watched.manager.current) == 3
    for file in away.iterdir():
        file.rename(watched.directory / file.name)
    await eventually(lambda: watched.manager.last_error is None)
    assert watched.served() == on_disk(watched.directory)


async def test_bad_save_keeps_the_last_good_version(watched: Watched) -> None:
    """A file that does not load leaves its last good version, and the report has the error (promises 22, 23)."""
    before = watched.manager.current["Ada"]
    (watched.directory / "ada.py").write_text("def broken(:\n")
    report = await watched.report()
    assert (report.trigger, report.scope, report.outcome) == ("watch", "changed", "unchanged")
    assert [(e.file, e.line, e.error_type) for e in report.errors] == [("ada.py", 1, "SyntaxError")]
    assert (watched.manager.current["Ada"], watched.value("last_reload_successful")) == (before, 0)


async def test_next_good_save_clears_the_error(watched: Watched) -> None:
    """A good save after two bad ones serves, sets the metric to 1 and removes the error (promises 20, 22)."""
    for text in ("def broken(:\n", "raise SystemExit(3)\n"):
        (watched.directory / "ada.py").write_text(text)
        await watched.report()
        assert watched.manager.last_error is not None
    write_in_place(watched.directory)
    await watched.equal()
    assert (watched.manager.last_error, watched.value("last_reload_successful")) == (None, 1)


async def test_undoing_a_bad_save_clears_the_error(watched: Watched) -> None:
    """Undoing a bad save swaps nothing, sets the metric to 1 and removes the error (promise 20)."""
    before, good = watched.manager.current, (watched.directory / "ada.py").read_text()
    (watched.directory / "ada.py").write_text("def broken(:\n")
    await watched.report()
    (watched.directory / "ada.py").write_text(good)
    await watched.report()
    assert watched.manager.current is before
    assert (watched.manager.last_error, watched.value("last_reload_successful")) == (None, 1)


async def test_broken_file_does_not_block_other_saves(watched: Watched) -> None:
    """A good save is served although another file is broken (promise 22)."""
    (watched.directory / "wrong.py").write_text("1 / 0\n")
    await watched.report()
    write_in_place(watched.directory)
    report = await watched.report()
    assert (report.changes.modified, [e.file for e in report.errors]) == (("Ada",), ["wrong.py"])


async def test_half_written_file_is_replaced_by_the_finished_one(watched: Watched) -> None:
    """A half-written file leaves the last good version; the finished file is served (promise 23, W20)."""
    before = prompt(watched.manager)
    source = character("Ada", "Whole.")
    with (watched.directory / "ada.py").open("w") as file:
        file.write(source[:40])
        file.flush()
        await watched.report()
        assert prompt(watched.manager) == before
        file.write(source[40:])
    await watched.equal()
    assert (prompt(watched.manager), watched.manager.last_error) == ("Whole.", None)
