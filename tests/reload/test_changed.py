"""With `scope: "changed"` a reload builds the characters that changed and carries the others over."""

from __future__ import annotations

from pathlib import Path

from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from tests.conftest import Client, character, prompt
from tests.reload.helpers import Write, module_of
from tests.reload.reloader import Reloader, noting, runs


async def test_unchanged_characters_are_the_same_objects(reloader: Reloader, write: Write) -> None:
    """An edit of one file leaves the other characters the same objects, in the same modules."""
    before = reloader.manager.current
    write("ada.py", character("Ada", "Be brief."))
    report = await reloader.changed()
    after = reloader.manager.current
    assert (report.changes.modified, report.changes.unchanged) == (("Ada",), 2)
    assert [name for name in before if after[name] is before[name]] == ["Bob", "Carl"]
    assert module_of(after["Bob"]) == module_of(before["Bob"])
    assert prompt(reloader.manager) == "Be brief."


async def test_carried_character_keeps_the_generation_that_loaded_it(reloader: Reloader, write: Write) -> None:
    """The set and each built character have the new generation; a carried character keeps its old one."""
    write("ada.py", character("Ada", "Be brief."))
    await reloader.changed()
    current = reloader.manager.current
    assert (current.generation, current["Ada"].generation, current["Bob"].generation) == (2, 2, 1)


async def test_scope_all_builds_everything(reloader: Reloader, write: Write) -> None:
    """With `all` no character is carried over, changed or not."""
    before = reloader.manager.current
    write("ada.py", character("Ada", "Be brief."))
    report = await reloader.changed(scope="all")
    assert report.changes.modified == ("Ada",)
    assert not [name for name in before if reloader.manager.current[name] is before[name]]


async def test_helper_rebuilds_exactly_its_dependents(reloader: Reloader, write: Write) -> None:
    """An edit of a helper rebuilds the characters that import it, and no others (promise 26)."""
    before = reloader.manager.current
    write("resources/mood.py", "WORDS = 'wild'\n")
    report = await reloader.changed()
    assert report.changes.modified == ("Carl",)
    assert [name for name in before if reloader.manager.current[name] is before[name]] == ["Ada", "Bob"]
    assert prompt(reloader.manager, "Carl") == "wild"


async def test_helper_of_a_helper_counts(reloader: Reloader, write: Write) -> None:
    """An edit of a helper that another helper imports rebuilds the character (promise 26)."""
    write("resources/mood.py", "from .base import WORDS\n")
    write("resources/base.py", "WORDS = 'one'\n")
    await reloader.changed()
    write("resources/base.py", "WORDS = 'two'\n")
    assert (await reloader.changed()).changes.modified == ("Carl",)
    assert prompt(reloader.manager, "Carl") == "two"


async def test_helper_imported_inside_a_function_counts(reloader: Reloader, write: Write) -> None:
    """An edit of a helper that is imported when the prompt is made rebuilds the character (promise 26)."""
    late = character("Ada").replace("return self.", "from characters._late import WORDS\n        return WORDS or self.")
    write("ada.py", late)
    write("_late.py", "WORDS = 'one'\n")
    await reloader.changed()
    write("_late.py", "WORDS = 'two'\n")
    assert (await reloader.changed()).changes.modified == ("Ada",)
    assert prompt(reloader.manager) == "two"


async def test_edit_of_the_same_size_and_times_is_seen(reloader: Reloader, write: Write) -> None:
    """Edits of a helper within one second, to the same size, are loaded (promise 26)."""
    for words in ("wild", "warm", "cold"):
        write("resources/mood.py", f"WORDS = '{words}'\n")
        await reloader.changed()
        assert prompt(reloader.manager, "Carl") == words


async def test_deleted_helper_is_an_error_of_its_importers(reloader: Reloader, settings: Settings) -> None:
    """Deleting a helper is an error of the file that imports it, and of no other (promise 26)."""
    (settings.directory / "resources" / "mood.py").unlink()
    report = await reloader.changed()
    assert [(e.file, e.line, e.error_type) for e in report.errors] == [("carl.py", 1, "ImportError")]
    assert list(reloader.manager.current) == ["Ada", "Bob"]


async def test_helper_that_appears_is_taken(reloader: Reloader, write: Write) -> None:
    """A character with an optional helper is rebuilt when the helper is added or removed (promise 26)."""
    attempt = "try:\n    from characters import _local\nexcept ImportError:\n    _local = None\n"
    write("ada.py", f"{attempt}{character('Ada')}\nINSTRUCTIONS = {{'text': _local.WORDS if _local else 'none'}}\n")
    await reloader.changed()
    assert prompt(reloader.manager) == "none"
    helper = write("_local.py", "WORDS = 'mine'\n")
    assert (await reloader.changed()).changes.modified == ("Ada",)
    assert prompt(reloader.manager) == "mine"
    helper.unlink()
    assert (await reloader.changed()).changes.modified == ("Ada",)
    assert prompt(reloader.manager) == "none"


async def test_added_removed_and_renamed_files_are_named(reloader: Reloader, write: Write, settings: Settings) -> None:
    """The report names the added and removed characters; a renamed file is built."""
    before = reloader.manager.current
    write("eve.py", character("Eve"))
    (settings.directory / "ada.py").unlink()
    (settings.directory / "bob.py").rename(settings.directory / "robert.py")
    report = await reloader.changed()
    assert (report.changes.added, report.changes.removed) == (("Eve",), ("Ada",))
    assert reloader.manager.current["Bob"].file == "robert.py"
    assert reloader.manager.current["Carl"] is before["Carl"]


async def test_only_what_changed_is_run(reloader: Reloader, write: Write, tmp_path: Path) -> None:
    """The code of a changed character is executed once more, that of a carried one is not."""
    notes = tmp_path / "notes"
    for name in ("Ann", "Ben"):
        write(f"{name}.py", noting(name, notes))
    await reloader.changed()
    write("Ben.py", noting("Ben", notes, "# edited"))
    await reloader.changed()
    assert runs(notes) == ["Ann", "Ben", "Ben"]


async def test_another_directory_is_all_new(reloader: Reloader, tmp_path: Path) -> None:
    """Nothing is carried from one directory to another, even where the files are the same."""
    other = tmp_path / "other"
    other.mkdir()
    for file in ("ada.py", "_tone.py", "bob.py"):
        (other / file).write_bytes((tmp_path / "characters" / file).read_bytes())
    before = reloader.manager.current
    report = await reloader.changed(directory=str(other))
    assert (report.outcome, report.changes.removed, report.changes.unchanged) == ("applied", ("Carl",), 2)
    assert reloader.manager.current["Ada"] is not before["Ada"]


async def test_dry_run_reports_and_changes_nothing(reloader: Reloader, write: Write) -> None:
    """A dry run of `changed` has the changes of the run that follows it, and swaps nothing."""
    before = reloader.manager.current
    write("ada.py", character("Ada", "Be brief."))
    predicted = await reloader.changed(dry_run=True)
    assert (predicted.outcome, reloader.manager.current) == ("valid", before)
    assert (await reloader.changed()).changes == predicted.changes


async def test_unchanged_is_no_swap(reloader: Reloader, settings: Settings) -> None:
    """Without a change the same set serves under the same generation (promise 18)."""
    before = reloader.manager.current
    (settings.directory / "ada.py").touch()
    report = await reloader.changed()
    assert (report.outcome, report.success, report.loaded_count) == ("unchanged", True, 3)
    assert reloader.manager.current is before
    assert (report.generation, report.sessions.affected, report.changes.unchanged) == (1, 0, 3)


async def test_change_of_an_unused_helper_is_no_swap(reloader: Reloader, write: Write) -> None:
    """A helper that no character imports changes no character."""
    write("resources/unused.py", "1\n")
    assert (await reloader.changed()).outcome == "unchanged"


async def test_unchanged_touches_no_session(client: Client) -> None:
    """A reload that finds no change sends no event to a client (promise 18)."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive_json()
        answer = await client.post("/v1/characters/reload", json={"scope": "changed"})
        assert (await answer.json())["sessions"] == {"policy": "close", "total": 1, "affected": 0}
        await ws.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await ws.receive_json())["type"] == "session.updated"


async def test_slash_at_the_end_is_no_change(manager: CharacterManager, directory: Path) -> None:
    """The same directory with a slash at its end is unchanged (promise 18)."""
    report = await manager.reload_characters(ReloadRequest(directory=f"{directory}/", scope="changed"))
    assert (report.outcome, report.generation) == ("unchanged", 1)
