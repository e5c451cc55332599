"""The messages and log lines of a reload."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import ReloadRejected
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from tests.conftest import character
from tests.reload.helpers import Write


async def test_the_message_counts_the_characters(manager: CharacterManager, directory: Path, write: Write) -> None:
    """The message of a success counts the characters and names the directory."""
    assert (await manager.reload_characters()).message == f"Successfully loaded 1 character from {directory}"
    write("bob.py", character("Bob"))
    assert (await manager.reload_characters()).message == f"Successfully loaded 2 characters from {directory}"
    dry = await manager.reload_characters(ReloadRequest(dry_run=True))
    assert dry.message == f"2 characters would be loaded from {directory}"


async def test_the_message_of_a_refusal_has_the_cause(manager: CharacterManager, directory: Path, write: Write) -> None:
    """The message of a refusal is one sentence with the cause and the path."""

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


@pytest.mark.of_default_set
async def test_a_success_writes_one_line(manager: CharacterManager, caplog: pytest.LogCaptureFixture) -> None:
    """A reload is one INFO line in the log, with the word character in it."""
    caplog.set_level(logging.INFO, "charhost")
    await manager.reload_characters()
    (record,) = caplog.records
    assert (record.levelname, "character reload applied (http" in record.message) == ("INFO", True)
    assert "0 of 1 files failed; 1 unchanged; 0 of 0 sessions notified; generation 2" in record.message


async def test_a_failed_file_writes_one_warning(
    manager: CharacterManager, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failed file is one WARNING in the log, with the word character in it and its traceback."""
    caplog.set_level(logging.WARNING, "charhost")
    write("bob.py", "def broken(:")
    write("cleo.py", "1 / 0")
    await manager.reload_characters()
    bob, cleo = (record.message for record in caplog.records)
    assert re.match(r"character file not loaded: bob\.py:1: SyntaxError: \S", bob)
    assert cleo.startswith("character file not loaded: cleo.py:1: ZeroDivisionError: division by zero\nTraceback")
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.of_default_set
async def test_a_refusal_writes_an_error(manager: CharacterManager, caplog: pytest.LogCaptureFixture) -> None:
    """A refused reload is one ERROR line with the generation that still serves."""
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(directory="/nowhere"))
    (record,) = caplog.records
    assert (record.levelname, record.message.startswith("character reload rejected (http")) == ("ERROR", True)
    assert "Directory not found: /nowhere" in record.message
    assert "generation 1" in record.message
