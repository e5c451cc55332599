"""What a reload promises."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charhost.character.character import CharacterSet
from charhost.errors import ReloadFailed, ReloadRejected, Stopping
from charhost.metrics import Metrics
from charhost.reload.loader import Loader
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.reload.swap import Swap
from charhost.report import ReloadReport, SessionImpact
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import TAGGED, Gate, Write, sample, state

BROKEN = {
    "a syntax error": "def broken(:",
    "a missing class": "CHARACTER_NAME, VOICE_SOURCE, INSTRUCTIONS = 'Bob', {}, {}",
    "SystemExit": "import sys; sys.exit()",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "a BaseException": "class Odd(BaseException): pass\nraise Odd",
    "StopIteration": "raise StopIteration",
    "CancelledError": "import asyncio; raise asyncio.CancelledError",
    "a hang": "while True: pass",
}


class Audience:
    """Remembers the swaps it was told of, and the set that served at that moment."""

    def __init__(self) -> None:
        self.told: list[tuple[Swap, CharacterSet]] = []
        self.manager: CharacterManager | None = None

    def impact(self, swap: Swap) -> SessionImpact:
        return SessionImpact(policy=swap.policy, total=3, affected=2)

    def follow(self, swap: Swap) -> None:
        assert self.manager is not None
        self.told.append((swap, self.manager.current))


async def managed(settings: Settings, audience: Audience | None = None) -> CharacterManager:
    """A manager that has loaded the directory of *settings*, with an audience."""
    manager = CharacterManager(settings, Metrics(), audience)
    if audience is not None:
        audience.manager = manager
    await manager.reload_characters(trigger="startup")
    return manager


# What serves after a reload


async def test_reload_replaces_the_set(manager: CharacterManager, write: Write) -> None:
    """After a reload the current set is what the directory holds."""
    write("ada.py", character("Ada", "Be brief."))
    report = await manager.reload_characters()
    assert (report.outcome, report.generation, prompt(manager)) == ("applied", 2, "Be brief.")


async def test_another_directory_takes_the_place_of_the_first(manager: CharacterManager, tmp_path: Path) -> None:
    """A reload may name another directory, which is then the current one."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    report = await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    assert (list(manager.current), manager.current.directory) == (["Bob"], str(tmp_path / "other"))
    assert (report.changes.added, report.changes.removed) == (("Bob",), ("Ada",))


async def test_a_request_without_directory_means_the_current_one(manager: CharacterManager, tmp_path: Path) -> None:
    """Without a directory the last one that was applied is read again; `default` leads back to the first."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    assert (await manager.reload_characters()).directory == str(tmp_path / "other")
    assert list(manager.current) == ["Bob"]
    await manager.reload_characters(ReloadRequest(directory="default"))
    assert list(manager.current) == ["Ada"]


async def test_an_old_set_stays_as_it_was(manager: CharacterManager, write: Write) -> None:
    """Who holds the set of before keeps a complete one."""
    before = manager.current
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    assert before["Ada"].instructions == {"text": "Be kind."}
    assert before["Ada"].prompt_generator(before["Ada"].instructions).make_system_prompt() == "Be kind."


async def test_changes_are_told_by_name(manager: CharacterManager, directory: Path, write: Write) -> None:
    """The report says who is new, gone, changed and the same."""
    write("bob.py", character("Bob"))
    write("cleo.py", character("Cleo"))
    await manager.reload_characters()
    write("ada.py", character("Ada", "Be brief."))
    write("dan.py", character("Dan"))
    (directory / "bob.py").unlink()
    changes = (await manager.reload_characters()).changes
    assert (changes.added, changes.removed, changes.modified, changes.unchanged) == (("Dan",), ("Bob",), ("Ada",), 1)


# What a failure leaves behind


async def test_broken_file_leaves_current_set_serving(manager: CharacterManager, write: Write) -> None:
    """A refused reload changes nothing and says which file failed."""
    before = manager.current
    write("pirate.py", "raise RuntimeError('arr')")
    with pytest.raises(ReloadRejected, match=r"pirate\.py:1: RuntimeError: arr"):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert manager.current is before


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
async def test_a_refused_file_changes_nothing(directory: Path, write: Write, source: str) -> None:
    """Whatever a file does while it is imported, a refused reload leaves set and characters untouched (promise 2)."""
    manager = await managed(Settings(directory=directory, file_deadline=0.3))
    before = state(manager)
    write("bob.py", source)
    write("ada.py", character("Ada", "Be brief."))
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert state(manager) == before
    assert prompt(manager) == "Be kind."


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
async def test_a_broken_file_costs_only_itself(directory: Path, write: Write, source: str) -> None:
    """Whatever a file does while it is imported, the others load and the next reload works (promise 12)."""
    manager = await managed(Settings(directory=directory, file_deadline=0.3))
    write("bob.py", source)
    report = await manager.reload_characters()
    assert (report.outcome, list(manager.current), [e.file for e in report.errors]) == ("applied", ["Ada"], ["bob.py"])
    write("bob.py", character("Bob"))
    assert (await manager.reload_characters()).errors == ()


async def test_an_unreadable_file_changes_nothing(manager: CharacterManager, directory: Path) -> None:
    """A file that cannot be read is refused as one that fails (promise 2)."""
    before = state(manager)
    (directory / "bob.py").symlink_to("nowhere")
    with pytest.raises(ReloadRejected, match=r"bob\.py: OSError: No such file or directory"):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert state(manager) == before


def vanished(directory: Path) -> str:
    (directory / "ada.py").unlink()
    directory.rmdir()
    return "directory_not_found"


def emptied(directory: Path) -> str:
    (directory / "ada.py").unlink()
    return "no_characters"


def all_broken(directory: Path) -> str:
    (directory / "ada.py").write_text("raise SystemExit")
    return "no_characters"


def become_a_file(directory: Path) -> str:
    vanished(directory)
    directory.write_text("")
    return "not_a_directory"


@pytest.mark.parametrize("happen", [vanished, emptied, all_broken, become_a_file])
async def test_an_empty_set_never_serves(
    manager: CharacterManager, directory: Path, happen: Callable[[Path], str]
) -> None:
    """A directory that vanished, is empty or holds nothing that loads never becomes the live set (promises 2, 11)."""
    before = state(manager)
    code = happen(directory)
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters()
    assert (caught.value.code, caught.value.report.outcome) == (code, "rejected")
    assert state(manager) == before


async def test_a_reload_over_its_deadline_changes_nothing(directory: Path, write: Write) -> None:
    """A whole load has a deadline too: the reload ends as failed, and the next one works (promises 2, 12)."""
    manager = await managed(Settings(directory=directory, load_deadline=0.3))
    before = state(manager)
    bob = write("bob.py", "while True: pass")
    with pytest.raises(ReloadFailed, match=r"took longer than 0\.3 s") as caught:
        await manager.reload_characters()
    assert (caught.value.code, caught.value.report.outcome, state(manager)) == ("load_timeout", "failed", before)
    bob.unlink()
    assert (await manager.reload_characters()).outcome == "applied"


async def test_a_fault_of_charhost_changes_nothing(
    manager: CharacterManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw ends as a failed reload, with its traceback in the log only (promise 2)."""
    before = state(manager)

    async def fault(*_: object, **__: object) -> None:
        raise LookupError("a secret")

    monkeypatch.setattr(Loader, "build", fault)
    with pytest.raises(ReloadFailed, match="reload: LookupError") as caught:
        await manager.reload_characters()
    assert (caught.value.code, state(manager)) == ("internal_error", before)
    assert "LookupError: a secret" in caplog.text


async def test_every_failure_is_in_one_answer(manager: CharacterManager, write: Write) -> None:
    """All files that failed are named at once, with line, character, type and message (promise 4)."""
    write("bad.py", "\ndef broken(:")
    write("gone.py", "import nowhere")
    write("nameless.py", character("Bob").replace("class PromptGenerator", "class Other"))
    write("twin.py", character("Ada"))
    report = await manager.reload_characters()
    told = [(error.file, error.line, error.character, error.error_type) for error in report.errors]
    assert told == [
        ("bad.py", 2, None, "SyntaxError"),
        ("gone.py", 1, None, "ImportError"),
        ("nameless.py", None, "Bob", "ValidationError"),
        ("twin.py", 2, "Ada", "DuplicateName"),
    ]
    assert all(error.message for error in report.errors)
    assert (report.error_count, report.total_files, report.loaded_count) == (4, 5, 1)


async def test_a_bad_save_and_its_repair_end_green(manager: CharacterManager, write: Write) -> None:
    """After A, bad, A the metric is back at 1 and no error is left (promise 20)."""
    metrics = manager._metrics.registry
    write("ada.py", "def broken(:")
    with pytest.raises(ReloadRejected):
        await manager.reload_characters()
    assert sample(metrics, "charhost_last_reload_successful") == 0
    assert manager.last_error is not None
    write("ada.py", character("Ada"))
    await manager.reload_characters()
    assert sample(metrics, "charhost_last_reload_successful") == 1
    assert manager.last_error is None


async def test_an_excluded_file_leaves_its_error_to_be_seen(manager: CharacterManager, write: Write) -> None:
    """A reload that left a file out is a success, and remains the last error until the file is repaired."""
    write("bob.py", "def broken(:")
    report = await manager.reload_characters()
    assert (report.success, manager.last_error) == (True, report)
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    assert manager.last_error is None


# What readers see meanwhile


async def test_readers_never_see_a_mixture(manager: CharacterManager, write: Write) -> None:
    """Two characters that get their tag from one helper always agree, however often it is reloaded (promise 6)."""
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
    """Who began with a version keeps its helpers too, also for an import that comes after the reload (promise 10)."""
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
    """While files load, the set of before answers, whole (promise 7)."""
    before = state(manager)
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", f"{character('Bob')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    assert (state(manager), prompt(manager)) == (before, "Be kind.")
    gate.opened.set()
    await reload
    assert [prompt(manager, name) for name in manager.current] == ["Be brief.", "Be kind."]


async def test_sessions_are_told_at_the_swap(settings: Settings, write: Write) -> None:
    """Whoever is told of a swap finds the new set serving, and the report has what the audience answered."""
    audience = Audience()
    manager = await managed(settings, audience)
    before = manager.current
    write("bob.py", character("Bob"))
    report = await manager.reload_characters(ReloadRequest(sessions="keep"))
    swap, serving = audience.told[-1]
    assert (swap.before, swap.after, serving) == (before, manager.current, manager.current)
    assert report.sessions == SessionImpact(policy="keep", total=3, affected=2)


@pytest.mark.parametrize("fields", [{"on_error": "abort"}, {"dry_run": True}, {"directory": "/nowhere"}])
async def test_sessions_are_not_told_of_what_did_not_happen(
    settings: Settings, write: Write, fields: dict[str, Any]
) -> None:
    """Neither a refused reload nor a dry run reaches the sessions (promise 9)."""
    audience = Audience()
    manager = await managed(settings, audience)
    audience.told.clear()
    write("bob.py", "def broken(:")
    await asyncio.gather(manager.reload_characters(ReloadRequest(**fields)), return_exceptions=True)
    assert audience.told == []
    assert manager.current.generation == 1


async def test_sessions_are_affected_by_nothing_when_a_reload_fails(settings: Settings) -> None:
    """The report of a refused reload counts the sessions, none of them affected."""
    manager = await managed(settings, Audience())
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(directory="/nowhere"))
    assert caught.value.report.sessions == SessionImpact(policy="close", total=3, affected=0)


# Callers


async def test_a_cancelled_caller_does_not_stop_the_reload(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A caller that goes away does not stop a reload half-way (promise 15)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    caller = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.opened.set()
    await manager.reload_characters(ReloadRequest(dry_run=True))  # runs after it
    assert (manager.current.generation, prompt(manager)) == (2, "Be brief.")


async def test_a_cancelled_caller_in_line_still_gets_its_turn(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """Also a reload that only waits is carried out when its caller has gone (promise 15)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    waiting = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="mine")))
    await asyncio.sleep(0)
    waiting.cancel()
    gate.opened.set()
    await first
    await manager.reload_characters(ReloadRequest(dry_run=True))
    assert (manager.current.generation, manager.last_reload and manager.last_reload.reason) == (3, "mine")


async def test_requests_run_in_the_order_in_which_they_came(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """Different requests run one after the other, in order of arrival (promise 16)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    others = [asyncio.create_task(manager.reload_characters(ReloadRequest(reason=reason))) for reason in "abcb"]
    await asyncio.sleep(0)
    gate.opened.set()
    reports = await asyncio.gather(first, *others)
    assert [report.generation for report in reports] == [2, 3, 4, 5, 6]


async def test_equal_requests_that_wait_share_one_run(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """Requests equal to the last one in line are answered by its run, never by the one that has begun (promise 16)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    others = [asyncio.create_task(manager.reload_characters()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.opened.set()
    assert [(await report).generation for report in (first, *others)] == [2, 3, 3, 3, 3, 3]


async def test_only_the_last_in_line_is_shared(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A request does not join an equal one further ahead: the one between them must not have the last word
    (promise 16)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    others = [
        asyncio.create_task(manager.reload_characters(ReloadRequest(reason=reason))) for reason in ("a", "b", "a")
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    reports = await asyncio.gather(first, *others)
    assert len({report.reload_id for report in reports}) == 4
    assert manager.last_reload is reports[-1]


async def test_what_asks_is_part_of_a_request(manager: CharacterManager) -> None:
    """Equal requests by different triggers do not share a run: the report names who asked."""
    reports = await asyncio.gather(manager.reload_characters(), manager.reload_characters(trigger="watch"))
    assert [report.trigger for report in reports] == ["http", "watch"]


async def test_a_hundred_callers_get_a_hundred_true_answers(manager: CharacterManager, write: Write) -> None:
    """Each of a hundred parallel callers gets the report of a run that began after it asked (promise 16)."""

    async def save_and_reload(turn: int) -> tuple[int, ReloadReport, str]:
        write("ada.py", character("Ada", f"Turn {turn}."))
        return turn, await manager.reload_characters(ReloadRequest(reason=str(turn % 3))), prompt(manager)

    answers = await asyncio.gather(*(save_and_reload(turn) for turn in range(100)))
    assert all(report.outcome == "applied" and report.reason == str(turn % 3) for turn, report, _ in answers)
    assert {text for _, _, text in answers} == {"Turn 99."}


async def test_a_failure_reaches_everyone_who_shares_it(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """Callers that share a run all get its refusal."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    others = [asyncio.create_task(manager.reload_characters(ReloadRequest(directory="/nowhere"))) for _ in range(3)]
    await asyncio.sleep(0)
    gate.opened.set()
    await first
    refusals = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(refusal, ReloadRejected) for refusal in refusals)
    assert len({refusal.report.reload_id for refusal in refusals if isinstance(refusal, ReloadRejected)}) == 1


# Shutdown


async def test_close_waits_for_the_reload_that_runs(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """Shutdown lets a running reload finish (promise 17)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    closing = asyncio.create_task(manager.close(20))
    await asyncio.sleep(0)
    assert not closing.done()
    gate.opened.set()
    await closing
    assert ((await reload).outcome, prompt(manager)) == ("applied", "Be brief.")


async def test_close_turns_away_what_waits_and_what_comes(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """During shutdown neither a waiting request nor a new one is begun (promise 17)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    running = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    waiting = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="waiting")))
    closing = asyncio.create_task(manager.close(20))
    await asyncio.sleep(0)
    new = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="new")))
    gate.opened.set()
    outcomes = await asyncio.gather(running, waiting, new, closing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ReloadReport, Stopping, Stopping, type(None)]
    assert manager.current.generation == 2


async def test_close_gives_a_reload_up_at_its_deadline(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A reload that does not end is given up, its caller is told, and nothing has changed (promise 17)."""
    before = state(manager)
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    await manager.close(0.1)
    with pytest.raises(Stopping):
        await reload
    assert (state(manager), manager.running) == (before, None)


async def test_whoever_waits_at_the_deadline_of_close_is_told(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """A reload that has not begun when the server gives up is answered like the one that runs (promise 17)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    running = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    waiting = asyncio.create_task(manager.reload_characters(ReloadRequest(dry_run=True)))
    await asyncio.sleep(0)
    await manager.close(0.1)
    answers = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Stopping, Stopping]


# What is left behind


def traces() -> tuple[int, int, int]:
    """Count modules, loggers and threads, without those whose end is under way."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("charhost-")]
    for thread in threads:
        thread.join(20)
    gc.collect()
    gc.collect()  # what the first one finalized
    loggers = [name for name in logging.Logger.manager.loggerDict if name.startswith("characters")]
    return len(sys.modules), len(loggers), len([thread for thread in threads if thread.is_alive()])


def modules_of(manager: CharacterManager) -> list[ModuleType]:
    """The modules of the build that serves."""
    build = manager.current["Ada"].prompt_generator.__module__.rpartition(".")[0]
    return [module for name, module in sys.modules.items() if name == build or name.startswith(f"{build}.")]


async def test_reloads_leave_no_trace(manager: CharacterManager, write: Write) -> None:
    """After many full reloads no module, logger or thread is left over, and old modules are gone (promise 25)."""
    write("resources/tone.py", "import logging\nTONE = logging.getLogger(__name__)")
    write("ada.py", f"from .resources.tone import TONE\n{character('Ada')}")
    await manager.reload_characters()
    before, old = traces(), list[weakref.ref[ModuleType]]()
    for _ in range(50):
        old += [weakref.ref(module) for module in modules_of(manager)]
        await manager.reload_characters()
    assert traces() == before
    assert len(old) == 200  # the package, Ada, the folder and its helper
    assert not any(reference() for reference in old)


@pytest.mark.parametrize("source", ["def broken(:", "1 / 0", "raise SystemExit", "import nowhere", "while True: pass"])
async def test_refused_reloads_leave_no_trace(directory: Path, write: Write, source: str) -> None:
    """A reload that was refused, or only a trial, leaves none of its modules behind (promise 25)."""
    manager = await managed(Settings(directory=directory, file_deadline=0.1))
    write("bob.py", source)
    await manager.reload_characters()
    before = traces()
    for _ in range(5):
        with pytest.raises(ReloadRejected):
            await manager.reload_characters(ReloadRequest(on_error="abort"))
        await manager.reload_characters(ReloadRequest(dry_run=True))
        await manager.reload_characters()
    assert traces() == before


async def test_an_unreadable_file_leaves_no_trace(manager: CharacterManager, directory: Path) -> None:
    """A file that cannot be read does not keep the modules of each reload alive (promise 25)."""
    (directory / "bob.py").symlink_to("nowhere")
    await manager.reload_characters()
    before = traces()
    for _ in range(5):
        await manager.reload_characters()
    assert traces() == before


async def test_modules_of_the_old_set_leave_with_its_last_holder(manager: CharacterManager) -> None:
    """Old modules stay while somebody holds a character of theirs, and go with it (promise 25)."""
    held = manager.current["Ada"]
    name = held.prompt_generator.__module__
    await manager.reload_characters()
    assert name in sys.modules
    del held
    gc.collect()
    assert name not in sys.modules


async def test_no_bytecode_is_written(
    manager: CharacterManager, directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload writes nothing into the directory, also where Python writes bytecode (promise 27)."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write("resources/tone.py", "TONE = 'calm'")
    write("ada.py", f"from .resources.tone import TONE\n{character('Ada')}")
    assert (await manager.reload_characters()).errors == ()
    assert sorted(os.listdir(directory)) == ["ada.py", "resources"]
    assert os.listdir(directory / "resources") == ["tone.py"]


# Dry runs


async def test_a_dry_run_changes_nothing(manager: CharacterManager, write: Write) -> None:
    """A dry run leaves the set, the metrics and the last reload as they are (promise 33)."""
    before, last = state(manager), manager.last_reload
    write("ada.py", character("Ada", "Be brief."))
    report = await manager.reload_characters(ReloadRequest(dry_run=True))
    assert (report.outcome, report.success, report.dry_run) == ("valid", True, True)
    assert (state(manager), manager.last_reload, manager.last_error) == (before, last, None)
    assert report.serving == manager.serving
    assert sample(manager._metrics.registry, "charhost_generation") == 1


async def test_a_dry_run_predicts_the_real_run(settings: Settings, write: Write) -> None:
    """What a dry run reports is what the reload after it does (promise 33)."""
    manager = await managed(settings, Audience())
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", character("Bob"))
    write("cleo.py", "def broken(:")
    dry = await manager.reload_characters(ReloadRequest(dry_run=True))
    real = await manager.reload_characters()
    same = {"generation", "revision", "changes", "errors", "sessions", "total_files", "loaded_count", "error_count"}
    assert dry.model_dump(include=same) == real.model_dump(include=same)


async def test_a_dry_run_predicts_a_refusal(manager: CharacterManager, write: Write) -> None:
    """A dry run of what would be refused is refused, and does not count as the last reload (promise 33)."""
    write("bob.py", "def broken(:")
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(on_error="abort", dry_run=True))
    assert (caught.value.code, caught.value.report.dry_run) == ("set_rejected", True)
    assert (sample(manager._metrics.registry, "charhost_last_reload_successful"), manager.last_error) == (1, None)


# What is told


async def test_the_reason_is_kept(manager: CharacterManager) -> None:
    """Why somebody reloaded is in the report, and in what the manager remembers."""
    report = await manager.reload_characters(ReloadRequest(reason="a new joke"))
    assert report.reason == "a new joke"
    assert manager.last_reload is report


async def test_every_attempt_has_an_id_of_its_own(manager: CharacterManager) -> None:
    """Attempts can be told apart, failed ones too (promise 31)."""
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(directory="/nowhere"))
    ids = {caught.value.report.reload_id, (await manager.reload_characters()).reload_id, manager.last_reload}
    assert len(ids) == 3


async def test_the_message_counts_what_was_loaded(manager: CharacterManager, directory: Path, write: Write) -> None:
    """The message of a success counts the characters and names the directory."""
    assert (await manager.reload_characters()).message == f"Successfully loaded 1 character from {directory}"
    write("bob.py", character("Bob"))
    assert (await manager.reload_characters()).message == f"Successfully loaded 2 characters from {directory}"
    dry = await manager.reload_characters(ReloadRequest(dry_run=True))
    assert dry.message == f"2 characters would be loaded from {directory}"


async def test_the_message_of_a_refusal_says_what_was_wrong(
    manager: CharacterManager, directory: Path, write: Write
) -> None:
    """Each refusal says in one sentence what was wrong, and with what."""

    async def refusal(**fields: Any) -> str:
        with pytest.raises(ReloadRejected) as caught:
            await manager.reload_characters(ReloadRequest(**fields))
        return caught.value.report.message

    write("bob.py", "def broken(:")
    assert await refusal(directory="/nowhere") == "Directory not found: /nowhere"
    assert await refusal(directory=f"{directory}/bob.py") == f"Path is not a directory: {directory}/bob.py"
    assert await refusal(on_error="abort") == f"1 character file in {directory} failed, so nothing was changed."
    (directory / "ada.py").unlink()
    assert await refusal() == f"No character could be loaded from {directory}: 1 character file failed."
    (directory / "bob.py").unlink()
    nothing = f"No character could be loaded from {directory}: there are no character files in it."
    assert await refusal() == nothing


async def test_a_success_writes_one_line(manager: CharacterManager, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one INFO line for a reload, with the word character in it."""
    caplog.set_level(logging.INFO, "charhost")
    await manager.reload_characters()
    (record,) = caplog.records
    assert (record.levelname, "character reload applied (http" in record.message) == ("INFO", True)
    assert "0 of 1 files failed; 1 unchanged; 0 of 0 sessions notified; generation 2" in record.message


async def test_a_failed_file_writes_one_warning(
    manager: CharacterManager, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one WARNING for each failed file, with the word character in it, and its traceback."""
    caplog.set_level(logging.WARNING, "charhost")
    write("bob.py", "def broken(:")
    write("cleo.py", "1 / 0")
    await manager.reload_characters()
    bob, cleo = (record.message for record in caplog.records)
    assert re.match(r"character file not loaded: bob\.py:1: SyntaxError: \S", bob)
    assert cleo.startswith("character file not loaded: cleo.py:1: ZeroDivisionError: division by zero\nTraceback")
    assert {record.levelname for record in caplog.records} == {"WARNING"}


async def test_a_refusal_writes_an_error(manager: CharacterManager, caplog: pytest.LogCaptureFixture) -> None:
    """A refused reload is one ERROR line that says what goes on serving."""
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(directory="/nowhere"))
    (record,) = caplog.records
    assert (record.levelname, record.message.startswith("character reload rejected (http")) == ("ERROR", True)
    assert "Directory not found: /nowhere" in record.message
    assert "generation 1" in record.message


async def test_metrics_follow_the_outcomes(manager: CharacterManager, write: Write) -> None:
    """Each reload is counted by trigger and outcome, each failed file by its type (promise 5)."""
    metrics = manager._metrics.registry
    write("bob.py", "def broken(:")
    await manager.reload_characters()
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(directory="/nowhere"), trigger="watch")
    assert sample(metrics, "charhost_reloads_total", trigger="startup", outcome="applied") == 1
    assert sample(metrics, "charhost_reloads_total", trigger="http", outcome="applied") == 1
    assert sample(metrics, "charhost_reloads_total", trigger="watch", outcome="rejected") == 1
    assert sample(metrics, "charhost_character_load_errors_total", error_type="SyntaxError") == 1
    assert sample(metrics, "charhost_character_load_count_total") == 2
    assert sample(metrics, "charhost_characters_loaded") == 1


async def test_builds_alive_counts_the_builds_that_are_held(manager: CharacterManager) -> None:
    """Old builds are counted while somebody holds a character of theirs."""
    held = manager.current["Ada"]
    await manager.reload_characters()
    gc.collect()
    assert sample(manager._metrics.registry, "charhost_builds_alive") == 2
    del held
    gc.collect()
    assert sample(manager._metrics.registry, "charhost_builds_alive") == 1


async def test_the_report_has_its_times(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """Waiting in line is told apart from the work, which adds up to the load duration."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    second = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="waiting")))
    await asyncio.sleep(0.05)
    gate.opened.set()
    await first
    report = await second
    times = report.timings
    assert times.queue >= 0.04
    assert report.load_duration == pytest.approx(times.snapshot + times.build + times.swap, abs=0.002)


async def test_running_is_the_attempt_that_runs(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """Who asks during a reload learns its id; afterwards nothing runs."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    running = manager.running
    gate.opened.set()
    assert running is not None
    assert (await reload).reload_id == running.reload_id
    assert manager.running is None


async def test_a_fault_is_logged_even_if_nobody_waits(
    manager: CharacterManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw is not lost with the caller that left."""
    monkeypatch.setattr(manager, "_conclude", None)
    caller = asyncio.create_task(manager.reload_characters())
    await asyncio.sleep(0)
    (reload,) = manager._queue._tasks
    caller.cancel()
    await asyncio.wait([reload])
    await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["a reload failed unexpectedly"]
