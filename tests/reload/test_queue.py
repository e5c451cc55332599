"""Reloads run one after the other, equal requests share a run, and a shutdown ends the queue."""

from __future__ import annotations

import asyncio

import pytest

from charhost.errors import ReloadRejected, Stopping
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from tests.conftest import character, prompt
from tests.reload.helpers import Gate, Write, state


async def test_a_cancelled_caller_does_not_stop_the_reload(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A reload goes on when its caller is cancelled (promise 15)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    caller = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.opened.set()
    await manager.reload_characters(ReloadRequest(dry_run=True))  # runs after it
    assert (manager.current.generation, prompt(manager)) == (2, "Be brief.")


async def test_a_queued_reload_runs_without_its_caller(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A queued reload runs although its caller was cancelled (promise 15)."""
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


async def test_requests_run_in_the_order_of_arrival(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """Different requests run one after the other, in the order of arrival (promise 16)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    others = [asyncio.create_task(manager.reload_characters(ReloadRequest(reason=reason))) for reason in "abcb"]
    await asyncio.sleep(0)
    gate.opened.set()
    reports = await asyncio.gather(first, *others)
    assert [report.generation for report in reports] == [2, 3, 4, 5, 6]


async def test_equal_queued_requests_share_one_run(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A request equal to the last queued one shares its run, never the one that has begun (promise 16)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    first = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    others = [asyncio.create_task(manager.reload_characters()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.opened.set()
    assert [(await report).generation for report in (first, *others)] == [2, 3, 3, 3, 3, 3]


async def test_only_the_last_queued_run_is_shared(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A request shares no run with an equal one before a different one, which would end last (promise 16)."""
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


async def test_different_triggers_share_no_run(manager: CharacterManager) -> None:
    """Requests with different triggers share no run, since the report names the trigger."""
    reports = await asyncio.gather(manager.reload_characters(), manager.reload_characters(trigger="watch"))
    assert [report.trigger for report in reports] == ["http", "watch"]


async def test_a_hundred_callers_get_true_reports(manager: CharacterManager, write: Write) -> None:
    """Each of a hundred callers gets the report of a run that began after its request (promise 16)."""

    async def save_and_reload(turn: int) -> tuple[int, ReloadReport, str]:
        write("ada.py", character("Ada", f"Turn {turn}."))
        return turn, await manager.reload_characters(ReloadRequest(reason=str(turn % 3))), prompt(manager)

    answers = await asyncio.gather(*(save_and_reload(turn) for turn in range(100)))
    assert all(report.outcome == "applied" and report.reason == str(turn % 3) for turn, report, _ in answers)
    assert {text for _, _, text in answers} == {"Turn 99."}


async def test_callers_of_a_shared_run_get_its_refusal(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """All callers that share a run get its refusal."""
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


async def test_close_waits_for_the_reload_that_runs(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A shutdown lets the running reload finish (promise 17)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    closing = asyncio.create_task(manager.close(20))
    await asyncio.sleep(0)
    assert not closing.done()
    gate.opened.set()
    await closing
    assert ((await reload).outcome, prompt(manager)) == ("applied", "Be brief.")


async def test_close_refuses_queued_and_new_requests(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """During a shutdown neither a queued nor a new request begins (promise 17)."""
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


async def test_close_abandons_a_reload_at_its_deadline(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A reload that outlasts the shutdown's deadline raises an error and changes nothing (promise 17)."""
    before = state(manager)
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    await manager.close(0.1)
    with pytest.raises(Stopping):
        await reload
    assert (state(manager), manager.running) == (before, None)


async def test_the_end_of_the_event_loop_is_no_fault(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A server that is stopped while it loads its first set ends its tasks, and finds no exception in them."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    caller = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert [task for task in tasks if not task.cancelled() and task.exception()] == []
    assert caller.cancelled()
    gate.opened.set()


async def test_abandoned_reload_is_reported_to_listeners(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """A listener that is notified of the beginning of a reload is notified of its end, too, when it is given up."""
    begun, ended = list[str](), list[tuple[str, str]]()
    manager.listen(
        lambda report: ended.append((report.reload_id, report.outcome)),
        lambda attempt: begun.append(attempt.reload_id),
    )
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    await manager.close(0.1)
    with pytest.raises(Stopping):
        await reload
    assert ended == [(begun[0], "failed")]


async def test_close_refuses_queued_requests_at_its_deadline(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """A request still queued at the shutdown's deadline gets the same error as the running one (promise 17)."""
    write("ada.py", f"{character('Ada', 'Be brief.')}\nimport gate; gate.wait()")
    running = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    waiting = asyncio.create_task(manager.reload_characters(ReloadRequest(dry_run=True)))
    await asyncio.sleep(0)
    await manager.close(0.1)
    answers = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Stopping, Stopping]


async def test_a_fault_is_logged_without_a_caller(
    manager: CharacterManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is logged although its caller was cancelled."""
    monkeypatch.setattr(manager, "_conclude", None)
    caller = asyncio.create_task(manager.reload_characters())
    await asyncio.sleep(0)
    (reload,) = manager._queue._tasks
    caller.cancel()
    await asyncio.wait([reload])
    await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["a reload failed unexpectedly"]
