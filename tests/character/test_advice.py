"""What the author is advised to do about the traps of a file that is loaded by a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from charhost.character.instance import CharacterInstance
from charhost.errors import PluginFailed
from charhost.loading.module_space import Load, ModuleSpace, Version
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.report import FileError
from charhost.settings import Settings
from charhost.threads.worker_pool import WorkerPool
from tests.conftest import character
from tests.reload.helpers import Write

LIMITS = Limits(files=100, bytes=1 << 20, file_bytes=1 << 20)

INSTALL = f"No module named 'no_such': install it where the server runs ({sys.executable} -m pip install no_such)"


async def why(directory: Path, path: str = "ada.py") -> FileError:
    """Return the error of a file, loaded on a thread as a server does."""
    snapshot = take_snapshot(directory, LIMITS)
    load = Load(Version(ModuleSpace(snapshot), path), "", 1)
    error = load.result(await WorkerPool().run(load, 30))
    assert isinstance(error, FileError)
    return error


@pytest.mark.parametrize(
    ("source", "kind", "advice"),
    [
        ("import asyncio\nasyncio.get_event_loop()", "RuntimeError", "make tasks, locks and clients in the method"),
        ("import asyncio\nasyncio.get_running_loop()", "RuntimeError", "make tasks, locks and clients in the method"),
        ("NAME = input('Who? ')", "EOFError", "a conversation reaches the file by its methods"),
        ("from ..shared import X", "ImportError", "move the module there, or install it as a package"),
        ("import no_such", "ImportError", INSTALL),
        ("import no_such.part", "ImportError", INSTALL),
        ("from .wrods import X", "ImportError", "'characters.wrods': `characters` always means the directory"),
        ("import _words", "ImportError", "imported with `from . import _words`"),
        ("from calendar import FEASTS", "ImportError", "imported with `from . import calendar`"),
        ("import calendar\ncalendar.FEASTS", "AttributeError", "imported with `from . import calendar`"),
    ],
)
async def test_the_error_of_a_trap_has_advice(
    directory: Path, write: Write, source: str, kind: str, advice: str
) -> None:
    """Each trap keeps its type of error, and the message has a remedy."""
    write("_words.py", "X = 1")
    write("calendar.py", "FEASTS = ['Easter']")
    write("ada.py", source)
    error = await why(directory)
    assert (error.error_type, advice in error.message) == (kind, True), error.message


async def test_a_module_with_another_name_than_its_package(
    directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package to install is named as it is called where packages come from."""
    monkeypatch.setattr(sys, "path", [])
    write("ada.py", "import sklearn")
    assert "pip install scikit-learn)" in (await why(directory)).message


async def test_each_importer_of_a_helper_gets_the_advice(directory: Path, write: Write) -> None:
    """The second file that imports a helper with a missing package is advised as the first."""
    write("_helper.py", "import no_such")
    write("ada.py", "from . import _helper")
    write("bob.py", "from . import _helper")
    snapshot = take_snapshot(directory, LIMITS)
    space = ModuleSpace(snapshot)
    first, second = (Load(Version(space, path), "", 1)() for path in ("ada.py", "bob.py"))
    assert isinstance(first, FileError)
    assert isinstance(second, FileError)
    assert INSTALL in first.message
    assert second.message == first.message


async def test_a_part_of_a_package_is_not_to_be_installed(directory: Path, write: Write) -> None:
    """A module that is missing in a package which is there is a slip of the author's."""
    write("ada.py", "import json.nothing")
    assert (await why(directory)).message == "No module named 'json.nothing'"


async def test_an_author_s_own_error_speaks_for_itself(directory: Path, write: Write) -> None:
    """An exception of a class of the file is shown as it is."""
    write("ada.py", "class Odd(RuntimeError): ...\nraise Odd('no event loop here')")
    assert (await why(directory)).message == "no event loop here"


async def test_a_conversation_gets_the_advice(directory: Path, write: Write, settings: Settings) -> None:
    """An import in a method that fails is explained in the same way."""
    write("ada.py", character().replace("return self", "import no_such\n        return self"))
    snapshot = take_snapshot(directory, LIMITS)
    ada = Load(Version(ModuleSpace(snapshot), "ada.py"), "", 1)()
    assert not isinstance(ada, FileError)
    with pytest.raises(PluginFailed) as caught:
        await CharacterInstance(ada, WorkerPool(), settings.prompt_deadline).prompt()
    assert INSTALL in caught.value.failure.message


def test_a_helper_that_comes_from_the_disk_is_a_warning(
    directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A helper that was found through `sys.path`, and so would never be reloaded, is named in the log, once."""
    file = write("uncommon_words.py", "X = 1")
    write("ada.py", "import uncommon_words\nimport uncommon_words")
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        ModuleSpace(take_snapshot(directory, LIMITS)).load("ada.py")
    finally:
        sys.modules.pop("uncommon_words", None)
    assert caplog.messages == [f"{file} was imported through sys.path, so it is not reloaded: import it from `.`"]
