"""A reload with `check_isolated` refuses files that crash."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import ReloadRejected
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import character
from tests.reload.helpers import Write
from tests.reload.sets import pytest_generate_tests, set_name
from tests.sandbox.helpers import KILLERS, SLEEPS, marked, remaining

__all__ = ["pytest_generate_tests", "set_name"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")


async def test_refused_set_changes_nothing(isolated_manager: CharacterManager, write: Write) -> None:
    """A reload whose check fails is rejected with all files that crash, and changes nothing (promise 2)."""
    before = isolated_manager.current
    write("bob.py", KILLERS["segfault"][0])
    write("eve.py", KILLERS["memory"][0])
    with pytest.raises(ReloadRejected) as caught:
        await isolated_manager.reload_characters()
    report = caught.value.report
    assert (caught.value.code, report.outcome, report.success) == ("isolated_load_failed", "rejected", False)
    assert [(error.file, error.error_type) for error in report.errors] == [("bob.py", "Crash"), ("eve.py", "Crash")]
    assert isolated_manager.current is before


async def test_request_overrules_the_setting(isolated_manager: CharacterManager, write: Write, tmp_path: Path) -> None:
    """`check_isolated` in a request wins over the setting."""
    count = tmp_path / "count"
    write("ada.py", f"with open({str(count)!r}, 'a') as file: file.write('x')\n{character()}")
    for choice, runs in ((None, 2), (False, 3), (True, 5)):
        await isolated_manager.reload_characters(ReloadRequest(check_isolated=choice))
        assert len(count.read_text()) == runs


async def test_good_reload_after_a_refused_one(isolated_manager: CharacterManager, write: Write) -> None:
    """Without the file that crashes the next reload is applied, with an ordinary error beside it (promise 20)."""
    file = write("bob.py", KILLERS["exit"][0])
    with pytest.raises(ReloadRejected):
        await isolated_manager.reload_characters()
    file.write_text("1 / 0")
    report = await isolated_manager.reload_characters()
    assert (report.outcome, [error.error_type for error in report.errors]) == ("applied", ["ZeroDivisionError"])


async def test_dry_run_is_checked_too(isolated_manager: CharacterManager, write: Write) -> None:
    """A dry run predicts the refusal of a file that crashes (promise 33)."""
    write("bob.py", KILLERS["exit"][0])
    with pytest.raises(ReloadRejected, match=r"bob\.py: Crash"):
        await isolated_manager.reload_characters(ReloadRequest(dry_run=True))


async def test_load_deadline_ends_the_check(directory: Path, write: Write, mark: str) -> None:
    """A check ends at the load deadline, and leaves no process (promise 12)."""
    write("bob.py", SLEEPS)
    manager = CharacterManager(Settings(directory=directory, file_deadline=1000, load_deadline=0.5), Metrics())
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(check_isolated=True))
    assert caught.value.code == "load_timeout"
    assert await remaining(mark, 0) == []
    await manager.close(1)


async def test_closed_manager_leaves_no_process(isolated_manager: CharacterManager, mark: str) -> None:
    """The fork server ends with the manager."""
    assert len(marked(mark)) == 1
    await isolated_manager.close(1)
    assert await remaining(mark, 0) == []


async def test_refusal_over_http(aiohttp_client: Callable[..., Any], directory: Path, write: Write, mark: str) -> None:
    """Over HTTP a failed check is 422 `isolated_load_failed` with the errors, and the set still serves (promise 5)."""
    client = await aiohttp_client(create_app(Settings(directory=directory)))
    write("bob.py", KILLERS["abort"][0])
    answer = await client.post("/v1/characters/reload", json={"check_isolated": True})
    problem = await answer.json()
    assert (answer.status, problem["code"], problem["outcome"]) == (422, "isolated_load_failed", "rejected")
    assert [(error["file"], error["error_type"]) for error in problem["errors"]] == [("bob.py", "Crash")]
    assert (await (await client.get("/v1/health")).json())["generation"] == 1
