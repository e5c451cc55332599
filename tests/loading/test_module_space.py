"""The modules of a build: their imports, their source, and their end."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, take_snapshot
from tests.loading.helpers import space_of
from tests.reload.helpers import Write


def test_two_builds_do_not_mix(directory: Path, write: Write) -> None:
    """Each build has its own modules, so a change in one helper is not seen by another build."""
    write("_state.py", "SEEN = []")
    write("ada.py", "from ._state import SEEN")
    first, second = space_of(directory), space_of(directory)
    first.load("ada.py").SEEN.append("first")
    assert second.load("ada.py").SEEN == []


def test_helper_of_another_directory_is_never_used(directory: Path, write: Write, tmp_path: Path) -> None:
    """A helper that only another directory has is missing, although it was published (promise 26)."""
    write("_shared.py", "Y = 1")
    other = space_of(directory)
    other.load("_shared.py")
    other.publish()
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "bob.py").write_text("from characters._shared import Y")
    with pytest.raises(ModuleNotFoundError, match=r"characters\._shared"):
        space_of(tmp_path / "second").load("bob.py")


@pytest.mark.parametrize("statement", ["import characters.elsewhere", "from . import elsewhere"])
def test_package_of_that_name_on_the_path_is_never_used(
    directory: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Another package `characters` on the path provides no modules (promise 26)."""
    (tmp_path / "path" / "characters").mkdir(parents=True)
    (tmp_path / "path" / "characters" / "elsewhere.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    monkeypatch.chdir(tmp_path / "path")
    write("ada.py", statement)
    with pytest.raises(ImportError, match="elsewhere"):
        space_of(directory).load("ada.py")


def test_file_that_came_after_the_snapshot_is_not_imported(directory: Path, write: Write) -> None:
    """A helper written after the snapshot is missing (promise 10)."""
    write("ada.py", "from . import _late")
    space = space_of(directory)
    write("_late.py", "")
    with pytest.raises(ImportError, match="_late"):
        space.load("ada.py")


def test_package_imported_before_is_left_alone(directory: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A process with a package `characters` of its own keeps it, and builds work beside it."""
    own = ModuleType("characters")
    own.__path__ = []
    monkeypatch.setitem(sys.modules, "characters", own)
    write("ada.py", "import characters.bob\nVALUE = characters.bob.Y")
    write("bob.py", "Y = 1")
    space = space_of(directory)
    space.publish()
    assert space.load("ada.py").VALUE == 1
    assert sys.modules["characters"] is own
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("characters.bob")


def test_dataclass_with_deferred_annotations(directory: Path, write: Write) -> None:
    """A module is in `sys.modules` before it runs, where `dataclass` looks up its annotations."""
    lines = [
        "from __future__ import annotations",
        "from dataclasses import dataclass, fields",
        "from typing import ClassVar",
        "@dataclass",
        "class Score:",
        "    best: ClassVar[int] = 3",
        "    points: int = 0",
        "NAMES = [field.name for field in fields(Score)]",
    ]
    write("ada.py", "\n".join(lines))
    assert space_of(directory).load("ada.py").NAMES == ["points"]


def test_module_has_its_real_path(directory: Path, write: Write) -> None:
    """`__file__` is the real path, so that a character can find its data files."""
    write("resources/x.py", "from pathlib import Path\nTEXT = (Path(__file__).parent / 'facts.txt').read_text()")
    write("resources/facts.txt", "Fish swim.")
    write("ada.py", "from .resources.x import TEXT")
    module = space_of(directory).load("ada.py")
    assert (module.__file__, module.TEXT) == (str(directory / "ada.py"), "Fish swim.")


def test_package_data_can_be_found(directory: Path, write: Write) -> None:
    """`importlib.resources` finds data files beside the helpers of a package."""
    write("resources/facts.txt", "Fish swim.")
    write(
        "resources/__init__.py",
        "from importlib.resources import files\nTEXT = (files(__name__) / 'facts.txt').read_text()",
    )
    write("ada.py", "from .resources import TEXT")
    assert space_of(directory).load("ada.py").TEXT == "Fish swim."


def test_logger_of_a_character(directory: Path, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """`logging.getLogger(__name__)` is a logger below `characters`."""
    write("ada.py", "import logging\nlogging.getLogger(__name__).warning('hello')")
    space_of(directory).load("ada.py")
    (record,) = caplog.records
    assert (record.name.split(".")[0], record.name.split(".")[-1], record.message) == ("characters", "ada", "hello")


@pytest.mark.parametrize(
    "name", ["quiz-show.py", "my.char.py", "développeuse.py", "2nd.py", "class.py", "a b.py", "é\udce9.py"]
)
def test_any_file_name_can_be_loaded(directory: Path, write: Write, name: str) -> None:
    """A character file may have any name that the disk allows, and can import helpers."""
    write("_shared.py", "Y = 1")
    write(name, "from ._shared import Y\nfrom characters._shared import Y as Z")
    module = space_of(directory).load(name)
    assert (module.Y, module.Z, module.__file__) == (1, 1, str(directory / name))


def test_module_beside_a_package_of_its_name(directory: Path, write: Write) -> None:
    """The character x.py and the package x/ can be loaded in one build."""
    write("x.py", "WHO = 'character'")
    write("x/__init__.py", "WHO = 'helper'")
    space = space_of(directory)
    assert [space.load(path).WHO for path in ("x.py", "x/__init__.py")] == ["character", "helper"]


def test_module_is_executed_once_in_each_build(directory: Path, write: Write) -> None:
    """A file is executed once in each build, also if it did not change."""
    write("ada.py", "THING = object()")
    snapshot = take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20))
    first, second = ModuleSpace(snapshot), ModuleSpace(snapshot)
    assert first.load("ada.py") is first.load("ada.py")
    assert first.load("ada.py").THING is not second.load("ada.py").THING


def test_module_that_no_file_imports_is_an_attribute_of_its_package(directory: Path, write: Write) -> None:
    """A module that was executed without the import system is found by a computed import, as any other."""
    write("ada.py", "THING = object()")
    write("bob.py", "import importlib\nADA = importlib.import_module('characters.ada')")
    space = space_of(directory)
    ada = space.load("ada.py")
    assert space.load("bob.py").ADA.THING is ada.THING
    assert sys.modules[f"characters.b{space.build}"].ada is ada


def test_import_of_a_file_that_is_running_waits_for_its_end(
    directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that imports another, which runs on another thread, never sees half of it."""
    begun, go = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "begun", begun, raising=False)
    monkeypatch.setattr(sys, "go", go, raising=False)
    write("ada.py", "import sys\nsys.begun.set()\nassert sys.go.wait(60)\nNAME = 'Ada'")
    write("bob.py", "from .ada import NAME")
    space = space_of(directory)
    with ThreadPoolExecutor(2) as threads:
        threads.submit(space.load, "ada.py")
        assert begun.wait(60)
        bob = threads.submit(space.load, "bob.py")
        with pytest.raises(TimeoutError):
            bob.result(0.1)
        go.set()
        assert bob.result(60).NAME == "Ada"
