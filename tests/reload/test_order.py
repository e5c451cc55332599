"""The set that a request expects, by its ETag, and the set that it restores."""

from __future__ import annotations

import asyncio

import pytest

from charhost.errors import RevisionMismatch
from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory, Source
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import Trigger
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Gate, Write, roll_back, sample, state


@pytest.fixture
def manager(manager_with_store: CharacterManager) -> CharacterManager:
    """A manager with a store of each kind."""
    return manager_with_store


async def test_a_reload_may_name_the_set_that_it_expects(manager: CharacterManager) -> None:
    """A reload with several expected ETags runs if one of them is the current one."""
    report = await manager.reload_characters(etags=("nonsense", manager.current.etag))
    assert report.generation == 2


@pytest.mark.parametrize(("trigger", "source"), [("http", None), ("rollback", FromHistory())])
async def test_a_set_that_is_not_the_expected_one_is_left_alone(
    settings: Settings, trigger: Trigger, source: Source
) -> None:
    """A reload with another ETag is refused, and leaves no metric and no entry in the history."""
    manager = CharacterManager(settings, metrics := Metrics())
    await manager.reload_characters(trigger="startup")
    etag, _ = manager.current.etag, await manager.reload_characters()
    before = state(manager)
    with pytest.raises(RevisionMismatch, match=manager.current.etag):
        await manager.reload_characters(source=source, trigger=trigger, etags=(etag,))
    assert state(manager) == before
    assert sample(metrics.registry, "charhost_reloads_total", trigger=trigger, outcome="rejected") is None
    assert len(await manager.store.attempts(100)) == 2


async def test_what_is_expected_is_compared_after_the_reloads_before(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """Of two concurrent reloads with the same expected ETag only the first runs."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    etag = manager.current.etag
    first = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="first"), etags=(etag,)))
    await gate.until_reached()
    second = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="second"), etags=(etag,)))
    await asyncio.sleep(0)
    gate.opened.set()
    assert (await first).outcome == "applied"
    with pytest.raises(RevisionMismatch):
        await second


async def test_only_equal_conditions_share_a_run(manager: CharacterManager) -> None:
    """Requests with different expected ETags or generations share no run."""
    etag = manager.current.etag
    conditions = [None, (etag,)]
    await asyncio.gather(*(manager.reload_characters(etags=etags) for etags in conditions), return_exceptions=True)
    assert manager.current.generation == 2
    await asyncio.gather(roll_back(manager, 1), roll_back(manager, 2), roll_back(manager, 2))
    assert manager.current.generation == 4
    assert FromHistory() != FromHistory(1)
