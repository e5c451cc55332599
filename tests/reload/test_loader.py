"""A directory is loaded to characters, or to one error for each file that fails."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from charhost.errors import DirectoryNotFound, DirectoryTooLarge
from tests.conftest import character
from tests.reload.helpers import Write, build, loader_of, module_of


async def test_each_character_file_is_a_character(directory: Path, write: Write) -> None:
    """A build has one character for each character file, in the order of the file names."""
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
    """The fingerprint of a character changes with its helpers, and not with those of others."""
    write("_helper.py", "Y = 1")
    write("bob.py", character("Bob") + "from . import _helper")
    before = (await build(directory)).characters
    write("_helper.py", "Y = 2")
    after = (await build(directory)).characters
    assert before["Ada"].fingerprint == after["Ada"].fingerprint
    assert before["Bob"].fingerprint != after["Bob"].fingerprint
    assert before.revision != after.revision


async def test_every_build_executes_every_file(directory: Path) -> None:
    """Each build executes also unchanged files."""
    first, second = await build(directory), await build(directory)
    assert first.characters["Ada"].prompt_generator is not second.characters["Ada"].prompt_generator


async def test_unchanged_file_is_compiled_once(directory: Path) -> None:
    """A later snapshot shares the compiled code of files that did not change."""
    loader = loader_of(directory)
    first = await loader.snapshot(directory)
    await loader.build(first, str(directory), 1)
    second = await loader.snapshot(directory)
    assert second.files["ada.py"].code is first.files["ada.py"].code


async def test_empty_directory_has_no_characters(tmp_path: Path) -> None:
    """An empty directory is loaded without a character and without an error."""
    built = await build(tmp_path)
    assert (len(built.characters), built.errors) == (0, ())


async def test_files_run_off_the_event_loop(directory: Path, write: Write) -> None:
    """Files are executed on threads of the pool, not on the event loop's."""
    write("ada.py", character() + "import threading\nINSTRUCTIONS = {'thread': threading.current_thread().name}")
    assert (await build(directory)).characters["Ada"].instructions == {"thread": "charhost-loader"}


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
    """However one file fails, it is one error, and the files before and after it load (promises 2 and 4)."""
    write("bob.py", source)
    write("eve.py", character("Eve"))
    built = await build(directory, file_deadline=2)
    assert list(built.characters) == ["Ada", "Eve"]
    (error,) = built.errors
    assert (error.file, error.error_type, error.exception) == ("bob.py", error_type, exception)
    assert line is None or error.line == line


async def test_hang_in_a_check_is_under_the_deadline(directory: Path, write: Write) -> None:
    """Code of a file that hangs while its attributes are checked is ended at the deadline (promise 12)."""
    write("bob.py", "def __getattr__(name):\n    while True: pass")
    (error,) = (await build(directory, file_deadline=2)).errors
    assert (error.error_type, error.line) == ("LoadTimeout", 2)
    assert "2 s" in error.message


async def test_unreadable_file_is_one_error(directory: Path, write: Write) -> None:
    """A file that the snapshot could not read is one error of that file."""
    os.mkfifo(directory / "bob.py")
    built = await build(directory)
    assert list(built.characters) == ["Ada"]
    assert [(e.file, e.line, e.error_type) for e in built.errors] == [("bob.py", None, "OSError")]
    assert "not a regular file" in built.errors[0].message


async def test_all_errors_are_reported_in_order(directory: Path, write: Write) -> None:
    """All errors are in one list, sorted by file (promise 4)."""
    for name in ("zoe.py", "bob.py", "mia.py"):
        write(name, "1 / 0")
    write("eve.py", character("Ada"))
    assert [error.file for error in (await build(directory)).errors] == ["bob.py", "eve.py", "mia.py", "zoe.py"]


async def test_character_is_reported_if_known(directory: Path, write: Write) -> None:
    """An error of a file with a valid name has the character's name (promise 4)."""
    write("bob.py", character("Bob") + "METADATA = 5")
    (error,) = (await build(directory)).errors
    assert (error.character, error.message) == ("Bob", "METADATA is 5: expected a dict")


async def test_broken_helper_fails_each_of_its_importers(directory: Path, write: Write) -> None:
    """A broken helper is an error of each character that imports it, with the line in the helper."""
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
    """A helper that never finishes is executed once, and each character that imports it gets a timeout."""
    runs: list[int] = []
    monkeypatch.setattr(sys, "runs", runs, raising=False)
    write("_bad.py", "import sys\nsys.runs.append(1)\nwhile True: pass")
    for number in range(5):
        write(f"bob{number}.py", "from . import _bad")
    built = await build(directory, file_deadline=2)
    assert list(built.characters) == ["Ada"]
    assert [error.error_type for error in built.errors] == ["LoadTimeout"] * 5, built.errors
    assert runs == [1]


@pytest.mark.parametrize("statement", ["from ._bad import Y", "from . import _bad", "import characters._bad as b"])
async def test_helper_that_fails_slowly_fails_each_of_its_importers(
    directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """A file that waits for another thread's import of a helper fails too when that helper fails."""
    monkeypatch.setattr(sys, "begun", threading.Event(), raising=False)
    write("_bad.py", "Y = 1\nimport sys, time\nsys.begun.wait(60)\ntime.sleep(0.1)\n1 / 0")
    write("bob.py", statement)
    write("eve.py", f"{character('Eve')}import sys\nsys.begun.set()\n{statement}")
    built = await build(directory)
    assert list(built.characters) == ["Ada"]
    assert [error.message for error in built.errors] == ["division by zero (_bad.py, line 5)"] * 2


async def test_init_of_the_directory_that_fails_fails_all(directory: Path, write: Write) -> None:
    """When the directory's `__init__.py` fails, each character has an error that names it."""
    write("__init__.py", "1 / 0")
    write("bob.py", character("Bob"))
    built = await build(directory)
    assert [error.message for error in built.errors] == ["division by zero (__init__.py, line 1)"] * 2


async def test_late_import_is_tried_again(directory: Path, write: Write) -> None:
    """An import that failed during the build is tried again after it."""
    source = "def late():\n    from ._late import Y\n    return Y\ntry:\n    late()\nexcept ImportError:\n    pass\n"
    write("_late.py", "import gc\nif not gc.isenabled(): raise ImportError('not yet')\nY = 1")
    write("ada.py", f"{source}{character()}")
    ada = (await build(directory)).characters["Ada"]
    assert sys.modules[module_of(ada)].late() == 1


async def test_first_file_of_a_name_wins(directory: Path, write: Write) -> None:
    """Of two new files with names of one length the first in sorted order serves; the error of the other names both."""
    write("bob.py", character("Ada", "The second."))
    built = await build(directory)
    assert built.characters["Ada"].file == "ada.py"
    (error,) = built.errors
    assert (error.file, error.error_type, error.character) == ("bob.py", "DuplicateName", "Ada")
    assert "'Ada' is already the CHARACTER_NAME of ada.py" in error.message


async def test_third_file_of_a_name_is_an_error_too(directory: Path, write: Write) -> None:
    """Each further file of a name is an error that names the file that serves."""
    write("bob.py", character("Ada"))
    write("eve.py", character("Ada"))
    errors = (await build(directory)).errors
    assert [(error.file, "ada.py" in error.message) for error in errors] == [("bob.py", True), ("eve.py", True)]


async def test_name_is_free_if_the_first_file_failed(directory: Path, write: Write) -> None:
    """A file that failed does not reserve its name."""
    write("aaa.py", character("Ada") + "1 / 0")
    built = await build(directory)
    assert built.characters["Ada"].file == "ada.py"
    assert [error.file for error in built.errors] == ["aaa.py"]


@pytest.mark.parametrize("name", ["  Zoe\u0301 ", "Zo\u00e9"])
async def test_names_are_compared_in_one_form(directory: Path, write: Write, name: str) -> None:
    """Names that differ only in outer spaces or in Unicode normalization are the same."""
    write("bob.py", character("Zo\u00e9"))
    write("eve.py", character(name))
    built = await build(directory)
    assert [(error.file, error.error_type) for error in built.errors] == [("eve.py", "DuplicateName")]


async def test_file_name_that_is_not_utf_8_is_reported_with_escapes(directory: Path, write: Write) -> None:
    """A file name that is not UTF-8 is reported with escapes, in characters and in errors."""
    write("caf\udce9.py", character("Bob"))
    write("caf\udcea.py", character("Bob"))
    built = await build(directory)
    assert built.characters["Bob"].file == "caf\\udce9.py"
    assert built.errors[0].file == "caf\\udcea.py"


async def test_missing_directory_is_reported(tmp_path: Path) -> None:
    """The error of a snapshot is raised to the caller unchanged."""
    with pytest.raises(DirectoryNotFound):
        await loader_of(tmp_path).snapshot(tmp_path / "missing")


@pytest.mark.parametrize("limit", ["max_files", "max_bytes"])
async def test_limits_are_the_settings(directory: Path, write: Write, limit: str) -> None:
    """A directory over the limit of a setting is refused, and the error names the setting."""
    write("bob.py", character("Bob"))
    with pytest.raises(DirectoryTooLarge, match=limit):
        await loader_of(directory, **{limit: 1}).snapshot(directory)


async def test_limit_of_one_file_is_a_setting(directory: Path) -> None:
    """A file over `max_file_bytes` is an error of that file."""
    (error,) = (await build(directory, max_file_bytes=10)).errors
    assert (error.file, error.error_type) == ("ada.py", "OSError")
    assert "max_file_bytes" in error.message
