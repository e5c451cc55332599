"""From a directory to characters, or one error for each file."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.character.worker_pool import WorkerPool
from charhost.errors import DirectoryNotFound, DirectoryTooLarge
from charhost.reload.loader import Build, Loader
from charhost.settings import Settings
from tests.conftest import character

Write = Callable[[str, str], Path]


def loader_of(directory: Path, **settings: Any) -> Loader:
    return Loader(Settings(directory=directory, **settings), WorkerPool())


async def retired(loader: Loader) -> bool:
    """Wait until no build is held any more, with a generous limit: the threads of the pool let go as they end."""
    for _ in range(400):
        gc.collect()
        if loader.builds_alive == 0:
            return True
        await asyncio.sleep(0.01)
    return False


async def build(directory: Path, loader: Loader | None = None, generation: int = 1, **settings: Any) -> Build:
    """One attempt to load what the directory holds now."""
    loader = loader or loader_of(directory, **settings)
    return await loader.build(await loader.snapshot(directory), str(directory), generation)


# Characters


async def test_each_character_file_is_a_character(directory: Path, write: Write) -> None:
    """The characters of a build are those of the files, in the order of their file names."""
    write("zoe.py", character("Albert"))
    write("bob.py", character("Bob"))
    write("_helper.py", "")
    built = await build(directory, generation=7)
    assert [(c.name, c.file, c.generation) for c in built.characters.values()] == [
        ("Ada", "ada.py", 7),
        ("Bob", "bob.py", 7),
        ("Albert", "zoe.py", 7),
    ]
    assert (built.errors, built.characters.directory, built.characters.generation) == ((), str(directory), 7)


async def test_character_has_the_fingerprint_of_its_files(directory: Path, write: Write) -> None:
    """Each character carries its own fingerprint, which changes with its helpers."""
    write("_helper.py", "Y = 1")
    write("bob.py", character("Bob") + "from . import _helper")
    before = (await build(directory)).characters
    write("_helper.py", "Y = 2")
    after = (await build(directory)).characters
    assert before["Ada"].fingerprint == after["Ada"].fingerprint
    assert before["Bob"].fingerprint != after["Bob"].fingerprint
    assert before.revision != after.revision


async def test_every_build_executes_every_file(directory: Path) -> None:
    """An unchanged file is executed afresh, so nothing of an earlier build is used again."""
    first, second = await build(directory), await build(directory)
    assert first.characters["Ada"].prompt_generator is not second.characters["Ada"].prompt_generator


async def test_unchanged_file_is_compiled_once(directory: Path) -> None:
    """A snapshot taken after an earlier one shares the compiled code of what did not change."""
    loader = loader_of(directory)
    first = await loader.snapshot(directory)
    await loader.build(first, str(directory), 1)
    second = await loader.snapshot(directory)
    assert second.files["ada.py"].code is first.files["ada.py"].code


async def test_empty_directory_has_no_characters(tmp_path: Path) -> None:
    """Nothing to load is no error of a file."""
    built = await build(tmp_path)
    assert (len(built.characters), built.errors) == (0, ())


async def test_files_run_off_the_event_loop(directory: Path, write: Write) -> None:
    """Files are executed on threads of the pool, never on that of the loop."""
    write("ada.py", character() + "import threading\nINSTRUCTIONS = {'thread': threading.current_thread().name}")
    assert (await build(directory)).characters["Ada"].instructions == {"thread": "charhost-loader"}


# Errors

FAILING = {
    "syntax": ("x = (", "SyntaxError", "SyntaxError", 1),
    "indentation": ("if True:\nx = 1", "SyntaxError", "IndentationError", 2),
    "import": ("import no_such_package", "ImportError", "ModuleNotFoundError", 1),
    "helper": ("from ._missing import X", "ImportError", "ModuleNotFoundError", 1),
    "runtime": ("\n1 / 0", "ZeroDivisionError", "ZeroDivisionError", 2),
    "exit": ("import sys\nsys.exit()", "SystemExit", "SystemExit", 2),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt", 1),
    "stop": ("next(iter([]))", "StopIteration", "StopIteration", 1),
    "cancel": ("import asyncio\nraise asyncio.CancelledError", "Exception", "CancelledError", 2),
    "base": ("class Odd(BaseException): ...\nraise Odd", "Exception", "Odd", 2),
    "endless": ("X = 1\nwhile True: pass", "LoadTimeout", "LoadTimeout", 2),
    "stubborn": (
        "while True:\n    try:\n        len('')\n    except BaseException:\n        pass",
        "LoadTimeout",
        "LoadTimeout",
        None,
    ),
    "empty": ("", "ValidationError", "ValidationError", None),
    "attribute": (character("Bob") + "METADATA = 5", "ValidationError", "ValidationError", 14),
    "module getattr": ("def __getattr__(name): raise SystemExit", "SystemExit", "SystemExit", 1),
    "metaclass": (
        character("Bob")
        + "class Meta(type):\n    def mro(cls): return 1 / 0\nclass PromptGenerator(metaclass=Meta): ...",
        "ZeroDivisionError",
        "ZeroDivisionError",
        15,
    ),
}


@pytest.mark.parametrize(("source", "error_type", "exception", "line"), FAILING.values(), ids=FAILING)
async def test_failing_file_costs_only_itself(
    directory: Path, write: Write, source: str, error_type: str, exception: str, line: int | None
) -> None:
    """One file that fails, however it does, is one error; the files before and after it load (promises 2 and 4)."""
    write("bob.py", source)
    write("eve.py", character("Eve"))
    built = await build(directory, file_deadline=0.5)
    assert list(built.characters) == ["Ada", "Eve"]
    (error,) = built.errors
    assert (error.file, error.error_type, error.exception) == ("bob.py", error_type, exception)
    assert line is None or error.line == line


async def test_hang_in_a_check_is_under_the_deadline(directory: Path, write: Write) -> None:
    """Code of a file that runs while its attributes are checked is ended as well (promise 12)."""
    write("bob.py", "def __getattr__(name):\n    while True: pass")
    (error,) = (await build(directory, file_deadline=0.5)).errors
    assert (error.error_type, error.line) == ("LoadTimeout", 2)
    assert "0.5 s" in error.message


async def test_unreadable_file_is_one_error(directory: Path, write: Write) -> None:
    """What the snapshot could not read is told as the error of that file."""
    os.mkfifo(directory / "bob.py")
    built = await build(directory)
    assert list(built.characters) == ["Ada"]
    assert [(e.file, e.line, e.error_type) for e in built.errors] == [("bob.py", None, "OSError")]
    assert "not a regular file" in built.errors[0].message


async def test_all_errors_are_told_in_order(directory: Path, write: Write) -> None:
    """Every failure is in one answer, sorted by file (promise 4)."""
    for name in ("zoe.py", "bob.py", "mia.py"):
        write(name, "1 / 0")
    write("eve.py", character("Ada"))
    assert [error.file for error in (await build(directory)).errors] == ["bob.py", "eve.py", "mia.py", "zoe.py"]


async def test_character_is_told_if_known(directory: Path, write: Write) -> None:
    """An error of a file whose name could be read names the character (promise 4)."""
    write("bob.py", character("Bob") + "METADATA = 5")
    (error,) = (await build(directory)).errors
    assert (error.character, error.message) == ("Bob", "METADATA is 5: expected a dict")


async def test_broken_helper_fails_each_of_its_importers(directory: Path, write: Write) -> None:
    """A helper that does not load is told for every character that needs it, with the helper's own line."""
    write("_bad.py", "\n1 / 0")
    for name in ("bob.py", "eve.py"):
        write(name, character(name) + "from . import _bad")
    built = await build(directory)
    assert list(built.characters) == ["Ada"]
    assert [(e.file, e.line) for e in built.errors] == [("bob.py", 14), ("eve.py", 14)]
    assert [e.message for e in built.errors] == ["division by zero (_bad.py, line 2)"] * 2


async def test_hanging_helper_costs_one_deadline(
    directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that never finishes is executed once, and every character that imports it is told a timeout."""
    runs: list[int] = []
    monkeypatch.setattr(sys, "runs", runs, raising=False)
    write("_bad.py", "import sys\nsys.runs.append(1)\nwhile True: pass")
    for number in range(5):
        write(f"bob{number}.py", "from . import _bad")
    built = await build(directory, file_deadline=0.5)
    assert list(built.characters) == ["Ada"]
    assert [error.error_type for error in built.errors] == ["LoadTimeout"] * 5, built.errors
    assert runs == [1]


@pytest.mark.parametrize("statement", ["from ._bad import Y", "from . import _bad", "import characters._bad as b"])
async def test_helper_that_fails_slowly_fails_each_of_its_importers(
    directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """A file that waits for a helper that another thread imports gets no half of it when that fails."""
    monkeypatch.setattr(sys, "begun", threading.Event(), raising=False)
    write("_bad.py", "Y = 1\nimport sys, time\nsys.begun.wait(20)\ntime.sleep(0.1)\n1 / 0")
    write("bob.py", statement)
    write("eve.py", f"{character('Eve')}import sys\nsys.begun.set()\n{statement}")
    built = await build(directory)
    assert list(built.characters) == ["Ada"]
    assert [error.message for error in built.errors] == ["division by zero (_bad.py, line 5)"] * 2


async def test_init_of_the_directory_that_fails_fails_all(directory: Path, write: Write) -> None:
    """When the directory's `__init__.py` does not load, no character does, and each error says why."""
    write("__init__.py", "1 / 0")
    write("bob.py", character("Bob"))
    built = await build(directory)
    assert [error.message for error in built.errors] == ["division by zero (__init__.py, line 1)"] * 2


async def test_late_import_is_tried_again(directory: Path, write: Write) -> None:
    """Once the build is over, an import that failed during it is no longer refused unseen."""
    source = "def late():\n    from ._late import Y\n    return Y\ntry:\n    late()\nexcept ImportError:\n    pass\n"
    write("_late.py", "import gc\nif not gc.isenabled(): raise ImportError('not yet')\nY = 1")
    write("ada.py", f"{source}{character()}")
    ada = (await build(directory)).characters["Ada"]
    assert sys.modules[ada.prompt_generator.__module__].late() == 1


# Names


async def test_first_file_of_a_name_wins(directory: Path, write: Write) -> None:
    """Of two new files with names of one length the first in sorted order serves; the error of the other names both."""
    write("bob.py", character("Ada", "The second."))
    built = await build(directory)
    assert built.characters["Ada"].file == "ada.py"
    (error,) = built.errors
    assert (error.file, error.error_type, error.character) == ("bob.py", "DuplicateName", "Ada")
    assert "'Ada' is already the CHARACTER_NAME of ada.py" in error.message


async def test_third_file_of_a_name_is_an_error_too(directory: Path, write: Write) -> None:
    """Each further file of a name is an error that names the one that serves."""
    write("bob.py", character("Ada"))
    write("eve.py", character("Ada"))
    errors = (await build(directory)).errors
    assert [(error.file, "ada.py" in error.message) for error in errors] == [("bob.py", True), ("eve.py", True)]


async def test_name_is_free_if_the_first_file_failed(directory: Path, write: Write) -> None:
    """A file that did not load takes nobody's name."""
    write("aaa.py", character("Ada") + "1 / 0")
    built = await build(directory)
    assert built.characters["Ada"].file == "ada.py"
    assert [error.file for error in built.errors] == ["aaa.py"]


@pytest.mark.parametrize("name", ["  Zoe\u0301 ", "Zo\u00e9"])
async def test_names_are_compared_in_one_form(directory: Path, write: Write, name: str) -> None:
    """Spaces around a name and other ways to spell its letters make no other name."""
    write("bob.py", character("Zo\u00e9"))
    write("eve.py", character(name))
    built = await build(directory)
    assert [(error.file, error.error_type) for error in built.errors] == [("eve.py", "DuplicateName")]


async def test_file_name_that_is_not_utf_8_is_told_with_escapes(directory: Path, write: Write) -> None:
    """Characters and errors of such files have names that can be sent."""
    write("caf\udce9.py", character("Bob"))
    write("caf\udcea.py", character("Bob"))
    built = await build(directory)
    assert built.characters["Bob"].file == "caf\\udce9.py"
    assert built.errors[0].file == "caf\\udcea.py"


# What a build leaves


async def test_collector_rests_during_a_build(directory: Path, write: Write) -> None:
    """Garbage collection is off while files are executed, and on again afterwards."""
    write("ada.py", character() + "import gc\nINSTRUCTIONS = {'collecting': gc.isenabled()}")
    assert (await build(directory)).characters["Ada"].instructions == {"collecting": False}
    assert gc.isenabled()


async def test_collector_works_again_after_a_cancelled_build(directory: Path, write: Write) -> None:
    """A build that is given up turns garbage collection on again, and its threads end."""
    write("bob.py", "import sys\nsys.begun.set()\nwhile True: pass")
    begun = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "begun", begun, raising=False)
        task = asyncio.create_task(build(directory))
        await asyncio.to_thread(begun.wait, 20)
        assert not gc.isenabled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gc.isenabled()


async def test_collector_that_was_off_stays_off(directory: Path) -> None:
    """A host that collects by itself is not overruled."""
    gc.disable()
    try:
        await build(directory)
        assert not gc.isenabled()
    finally:
        gc.enable()


async def test_build_lives_as_long_as_a_character_of_it(directory: Path) -> None:
    """Modules are there as long as one of their characters is held, and no longer (promise 25)."""
    loader = loader_of(directory)
    ada = (await build(directory, loader)).characters["Ada"]
    gc.collect()
    prefix = ada.prompt_generator.__module__
    assert (loader.builds_alive, prefix in sys.modules) == (1, True)
    del ada
    assert await retired(loader)
    assert prefix not in sys.modules


@pytest.mark.parametrize("source", ["1 / 0", "x = (", "while True: pass", "METADATA = 5"])
async def test_errors_do_not_hold_their_build(directory: Path, write: Write, source: str) -> None:
    """An error that is kept in a report keeps no modules alive (promise 25)."""
    write("bob.py", source)
    loader = loader_of(directory, file_deadline=0.3)
    errors = (await build(directory, loader)).errors
    assert await retired(loader)
    assert len(errors) == 1


# Snapshots


async def test_missing_directory_is_told(tmp_path: Path) -> None:
    """What a snapshot raises reaches the caller as it is."""
    with pytest.raises(DirectoryNotFound):
        await loader_of(tmp_path).snapshot(tmp_path / "missing")


@pytest.mark.parametrize("limit", ["max_files", "max_bytes"])
async def test_limits_are_the_settings(directory: Path, write: Write, limit: str) -> None:
    """The settings bound what is read."""
    write("bob.py", character("Bob"))
    with pytest.raises(DirectoryTooLarge, match=limit):
        await loader_of(directory, **{limit: 1}).snapshot(directory)


async def test_limit_of_one_file_is_a_setting(directory: Path) -> None:
    """A file over `max_file_bytes` is an error of that file."""
    (error,) = (await build(directory, max_file_bytes=10)).errors
    assert (error.file, error.error_type) == ("ada.py", "OSError")
    assert "max_file_bytes" in error.message
