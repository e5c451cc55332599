"""An attempt has an id, a reason and times."""

from __future__ import annotations

import asyncio

import pytest

from charhost.errors import ReloadRejected
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from tests.conftest import character
from tests.reload.helpers import Gate, Write


async def test_the_reason_is_kept(manager: CharacterManager) -> None:
    """The reason of a request is in the report, which is the last reload."""
    report = await manager.reload_characters(ReloadRequest(reason="a new joke"))
    assert report.reason == "a new joke"
    assert manager.last_reload is report


async def test_every_attempt_has_an_id_of_its_own(manager: CharacterManager) -> None:
    """Every attempt has an id of its own, also a failed one (promise 31)."""
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(directory="/nowhere"))
    ids = {caught.value.report.reload_id, (await manager.reload_characters()).reload_id, manager.last_reload}
    assert len(ids) == 3


async def test_the_report_has_its_times(manager: CharacterManager, write: Write, gate: Gate) -> None:
    """The time in the queue is separate from the times of the stages, which add up to the load duration."""
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
    """During a reload `running` has its id, and afterwards it is None."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    reload = asyncio.create_task(manager.reload_characters())
    await gate.until_reached()
    running = manager.running
    gate.opened.set()
    assert running is not None
    assert (await reload).reload_id == running.reload_id
    assert manager.running is None
