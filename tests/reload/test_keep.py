"""Files that fail, under each value of `on_error`."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.errors import ReloadRejected
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import Write
from tests.reload.reloader import BROKEN, Reloader, noting, runs


async def test_known_failure_is_not_run_again(reloader: Reloader, write: Write, tmp_path: Path) -> None:
    """A file with the same bytes that failed is reported again, and not executed again."""
    notes = tmp_path / "notes"
    write("wrong.py", noting("Wrong", notes, "1 / 0"))
    (first,) = (await reloader.changed()).errors
    write("ada.py", character("Ada", "Be brief."))
    (second,) = (await reloader.changed()).errors
    assert (first, runs(notes)) == (second, ["Wrong"])


async def test_failure_is_run_again_when_a_helper_changed(reloader: Reloader, write: Write, tmp_path: Path) -> None:
    """A failed file is executed again when a helper that it imports has changed."""
    notes = tmp_path / "notes"
    write("_helper.py", "RIGHT = False\n")
    write("wrong.py", noting("Wrong", notes, "from characters._helper import RIGHT\nassert RIGHT"))
    assert (await reloader.changed()).error_count == 1
    write("_helper.py", "RIGHT = True\n")
    assert ((await reloader.changed()).error_count, runs(notes)) == (0, ["Wrong", "Wrong"])


async def test_scope_all_runs_a_known_failure_again(reloader: Reloader, write: Write, tmp_path: Path) -> None:
    """A reload with `all` executes a failed file again."""
    notes = tmp_path / "notes"
    write("wrong.py", noting("Wrong", notes, "1 / 0"))
    await reloader.changed()
    await reloader.changed(scope="all")
    assert runs(notes) == ["Wrong", "Wrong"]


async def test_failure_of_a_file_that_serves_is_forgotten(reloader: Reloader, write: Write, tmp_path: Path) -> None:
    """An unchanged file that a refused reload could not execute serves on, and the next edit of another file loads."""
    off = tmp_path / "off"
    write("flaky.py", f"import os\nassert not os.path.exists({str(off)!r})\n{character('Flaky')}")
    await reloader.changed()
    off.touch()
    with pytest.raises(ReloadRejected):
        await reloader.changed(scope="all", on_error="abort")
    write("ada.py", character("Ada", "Be brief."))
    report = await reloader.changed(on_error="abort")
    assert (report.error_count, report.changes.modified, "Flaky" in reloader.manager.current) == (0, ("Ada",), True)


async def test_failure_of_a_file_that_opens_data_is_not_run_again(
    reloader: Reloader, write: Write, tmp_path: Path
) -> None:
    """A file that fails after it has opened a data file is executed again only when one of the two changes."""
    notes = tmp_path / "notes"
    write("words.txt", "1")
    text = "from pathlib import Path\nPath(__file__).with_name('words.txt').read_text()\n1 / 0"
    write("wrong.py", noting("Wrong", notes, text))
    for _ in range(2):
        await reloader.changed()
    assert runs(notes) == ["Wrong"]
    write("words.txt", "2")
    await reloader.changed()
    assert runs(notes) == ["Wrong", "Wrong"]


async def test_repaired_file_loads(reloader: Reloader, write: Write) -> None:
    """A repaired file leaves no error, and sets the metric to 1 (promise 20)."""
    write("ada.py", BROKEN)
    await reloader.keep()
    write("ada.py", character("Ada", "Repaired."))
    report = await reloader.keep()
    assert (report.error_count, report.changes.modified, prompt(reloader.manager)) == (0, ("Ada",), "Repaired.")
    assert (reloader.manager.last_error, reloader.value("last_reload_successful")) == (None, 1)


async def test_keep_keeps_the_last_good_version(reloader: Reloader, write: Write) -> None:
    """With `keep` the character of a failing file stays the same object, and the report has the error."""
    before = reloader.manager.current
    write("ada.py", BROKEN)
    write("bob.py", character("Bob", "New."))
    report = await reloader.keep()
    assert ([e.file for e in report.errors], report.loaded_count, report.changes.modified) == (["ada.py"], 3, ("Bob",))
    assert (reloader.manager.current["Ada"], prompt(reloader.manager, "Bob")) == (before["Ada"], "New.")


async def test_keep_serves_in_the_order_of_the_files(reloader: Reloader, write: Write) -> None:
    """A version that was kept has the place of its file in the order."""
    write("bob.py", BROKEN)
    write("ada.py", character("Ada", "New."))
    await reloader.keep()
    assert list(reloader.manager.current) == ["Ada", "Bob", "Carl"]


async def test_exclude_leaves_a_failing_file_out(reloader: Reloader, write: Write) -> None:
    """With `exclude`, the default, the character of a failing file is removed."""
    write("ada.py", BROKEN)
    report = await reloader.changed()
    assert (report.outcome, report.changes.removed, "Ada" in reloader.manager.current) == ("applied", ("Ada",), False)
    assert reloader.value("last_reload_successful") == 1


async def test_abort_leaves_everything(reloader: Reloader, write: Write) -> None:
    """With `abort` one failing file refuses the change of another (promise 2)."""
    before = reloader.manager.current
    write("ada.py", BROKEN)
    write("bob.py", character("Bob", "New."))
    with pytest.raises(ReloadRejected, match=r"ada\.py:1: SyntaxError"):
        await reloader.changed(on_error="abort")
    assert reloader.manager.current is before


async def test_keep_counts_as_unsuccessful(reloader: Reloader, write: Write) -> None:
    """While a version is kept the metric is 0 and the error is shown, although the reload succeeded (promise 5)."""
    write("ada.py", BROKEN)
    report = await reloader.keep()
    assert (report.outcome, report.success, reloader.value("last_reload_successful")) == ("unchanged", True, 0)
    assert reloader.manager.last_error == report


async def test_keep_with_a_file_that_never_loaded(reloader: Reloader, write: Write) -> None:
    """With `keep` a file without a good version is an error, and the others serve."""
    write("wrong.py", BROKEN)
    report = await reloader.keep()
    assert (report.outcome, report.loaded_count, [e.file for e in report.errors]) == ("unchanged", 3, ["wrong.py"])


async def test_keep_lets_a_removed_file_go(reloader: Reloader, settings: Settings) -> None:
    """With `keep` the character of a removed file is removed."""
    (settings.directory / "ada.py").unlink()
    assert (await reloader.keep()).changes.removed == ("Ada",)


async def test_keep_keeps_nothing_of_another_directory(reloader: Reloader, tmp_path: Path) -> None:
    """A file that fails in one directory is not replaced by the file of that name in another."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "ada.py").write_text(BROKEN)
    (other / "eve.py").write_text(character("Eve"))
    report = await reloader.keep(directory=str(other))
    assert (list(reloader.manager.current), [e.file for e in report.errors]) == (["Eve"], ["ada.py"])


async def test_keep_of_a_helper_that_fails(reloader: Reloader, write: Write) -> None:
    """When a helper fails, the characters that import it keep the old one (promise 23)."""
    before = reloader.manager.current["Carl"]
    write("resources/mood.py", BROKEN)
    report = await reloader.keep()
    assert ([e.file for e in report.errors], reloader.manager.current["Carl"]) == (["carl.py"], before)
    assert prompt(reloader.manager, "Carl") == "calm"


async def test_keep_of_a_file_that_takes_a_name(reloader: Reloader, write: Write) -> None:
    """A file that takes the name of an earlier one fails, so its own last good version stays."""
    before = reloader.manager.current
    write("bob.py", character("Ada"))
    report = await reloader.keep()
    assert [(e.file, e.error_type) for e in report.errors] == [("bob.py", "DuplicateName")]
    assert (list(reloader.manager.current), reloader.manager.current["Bob"]) == (["Ada", "Bob", "Carl"], before["Bob"])


async def test_keep_with_scope_all_keeps_too(reloader: Reloader, write: Write) -> None:
    """With `keep` and `all` a failing file keeps its version, and the others are built."""
    before = reloader.manager.current
    write("ada.py", BROKEN)
    await reloader.changed(scope="all", on_error="keep")
    assert [name for name in before if reloader.manager.current[name] is before[name]] == ["Ada"]


async def test_keep_survives_many_bad_saves(reloader: Reloader, write: Write) -> None:
    """Five bad saves in a row keep the same last good version (promise 22)."""
    before = reloader.manager.current
    for number in range(5):
        write("ada.py", f"{number} / 0\n")
        assert (await reloader.keep()).error_count == 1
    assert reloader.manager.current is before
