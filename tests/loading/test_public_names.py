"""Classes and functions of character files are known by their public name: to pickle, shelve, copy and the like."""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, take_snapshot
from tests.reload.helpers import Write

LIMITS = Limits(files=100, bytes=1 << 20, file_bytes=1 << 20)

ADA = """
import copy, pickle, shelve
from concurrent.futures import ThreadPoolExecutor
from collections import namedtuple
from dataclasses import dataclass
from enum import Enum
from .resources.points import Points

@dataclass
class Score:
    value: int

class Mood(Enum):
    GOOD = 1

Pair = namedtuple("Pair", "left right")

def double(value):
    return 2 * value

class Outer:
    class Inner:
        pass

THINGS = [Score(1), Mood.GOOD, Pair(1, 2), double, Outer.Inner, Points(3)]

def dumped(protocol=None):
    return pickle.dumps(THINGS, protocol)

def loaded(data):
    score, mood, pair, function, inner, points = pickle.loads(data)
    assert type(score) is Score and mood is Mood.GOOD and type(pair) is Pair
    assert function is double and inner is Outer.Inner and type(points) is Points
    return score.value, points.value

def put(path):
    with shelve.open(path) as kept:
        kept["things"] = THINGS

def got(path):
    with shelve.open(path) as kept:
        return [type(thing) is type(ours) for thing, ours in zip(kept["things"], THINGS)]

def dumped_elsewhere():
    # The second thread is started by the first, on which nothing runs but the pool's own code.
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        return first.submit(second.submit, pickle.dumps, THINGS).result(60).result(60)

def copied():
    return copy.deepcopy(THINGS)[0] == THINGS[0] and type(copy.copy(THINGS[5])) is Points
"""


@pytest.fixture
def score(write: Write) -> Path:
    """Ada, who has classes of her own and one of a helper."""
    write("resources/points.py", "class Points:\n    def __init__(self, value):\n        self.value = value\n")
    return write("ada.py", ADA)


def build(directory: Path) -> tuple[ModuleSpace, Any]:
    """Load Ada; return her build, which lives as long as the caller holds it, and her module."""
    space = ModuleSpace(take_snapshot(directory, LIMITS))
    return space, space.load("ada.py")


@pytest.mark.usefixtures("score")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_build_reads_what_it_has_pickled(directory: Path, protocol: int) -> None:
    """Objects of each kind come back as objects of the same classes, in each protocol of pickle."""
    space, ada = build(directory)
    assert ada.loaded(ada.dumped(protocol)) == (1, 3)
    del space


@pytest.mark.usefixtures("score")
def test_a_pickle_has_no_name_of_a_build(directory: Path) -> None:
    """The class is named as its author does, so another build, and another server, finds it."""
    space, ada = build(directory)
    data = ada.dumped(0)
    assert (b"characters.ada" in data, b"characters.resources.points" in data) == (True, True)
    assert f".b{space.build}".encode() not in data


@pytest.mark.usefixtures("score")
def test_two_builds_live_at_once(directory: Path, tmp_path: Path) -> None:
    """Each build finds its own classes, whichever is published, also through the frames of shelve."""
    (first, old), (second, new) = build(directory), build(directory)
    for published in (first, second):
        published.publish()
        for number, (writer, reader) in enumerate([(old, old), (new, new), (old, new), (new, old)]):
            path = str(tmp_path / f"kept{published.build}-{number}")
            writer.put(path)
            assert reader.got(path) == [True] * 6
            assert reader.loaded(writer.dumped()) == (1, 3)


@pytest.mark.usefixtures("score")
def test_a_later_build_reads_it(directory: Path, tmp_path: Path) -> None:
    """What a build has kept is read after the next load, when it is gone itself."""
    space, ada = build(directory)
    space.publish()
    ada.put(str(tmp_path / "kept"))
    data = ada.dumped()
    del space, ada
    gc.collect()
    later = build(directory)
    ada = later[1]
    assert (ada.got(str(tmp_path / "kept")), ada.loaded(data)) == ([True] * 6, (1, 3))


def test_another_process_reads_it(directory: Path, write: Write, score: Path, tmp_path: Path) -> None:
    """A restarted server reads what the one before has kept, also before the helper of a class was imported."""
    space, ada = build(directory)
    ada.put(str(tmp_path / "kept"))
    write(
        "bob.py", "import shelve\n\ndef got(path):\n    with shelve.open(path) as kept:\n        return kept['things']"
    )
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.loading.test_public_names import *\n"
        "space = ModuleSpace(take_snapshot(Path(sys.argv[1]), LIMITS))\n"
        "print(space.load('bob.py').got(sys.argv[2])[-1].value)"
    )
    command = [sys.executable, "-c", program, str(directory), str(tmp_path / "kept")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "3\n"
    del space


@pytest.mark.usefixtures("score")
def test_a_file_pickles_while_it_is_loaded(directory: Path, write: Write) -> None:
    """A file may keep objects of its classes at its top."""
    write("ada.py", f"{ADA}\nVALUES = loaded(dumped())")
    space, ada = build(directory)
    assert ada.VALUES == (1, 3)
    del space


@pytest.mark.usefixtures("score")
def test_copies_are_of_the_same_classes(directory: Path) -> None:
    """`copy` works on objects of a file and of a helper."""
    space, ada = build(directory)
    assert ada.copied()
    assert type(copy.deepcopy(ada.THINGS[0])) is ada.Score
    del space


@pytest.mark.usefixtures("score")
def test_a_thread_without_code_of_the_file_means_what_is_loaded(directory: Path) -> None:
    """A pool's thread, in which only pickle itself runs, finds the classes of the only build that has them."""
    space, ada = build(directory)
    with ThreadPoolExecutor(1) as executor:
        data = executor.submit(pickle.dumps, ada.THINGS).result(30)
        assert type(executor.submit(pickle.loads, data).result(30)[0]) is ada.Score
    del space


@pytest.mark.usefixtures("score")
def test_threads_of_a_build_mean_its_classes(directory: Path) -> None:
    """A pool that an older build has started, as one of processes does, pickles the objects of that build."""
    (space, old), (newer, _) = build(directory), build(directory)
    newer.publish()
    assert old.loaded(old.dumped_elsewhere()) == (1, 3)
    del space


def test_a_class_of_the_directory_s_init(directory: Path, write: Write) -> None:
    """The `__init__.py` of the directory is `characters` itself."""
    write("__init__.py", "import pickle\nclass Top: ...\ndef again():\n    return pickle.loads(pickle.dumps(Top()))")
    space = ModuleSpace(take_snapshot(directory, LIMITS))
    module: Any = importlib.import_module(f"characters.b{space.build}")
    assert (type(module.again()) is module.Top, module.Top.__module__) == (True, "characters")


def test_the_package_imports_its_own_parts_while_it_is_loaded(directory: Path, write: Write) -> None:
    """A public `__name__` does not lead the imports of a package astray."""
    write("deep/__init__.py", "from . import part\nfrom .part import X\nclass C: ...\nNAME = __name__")
    write("deep/part.py", "from . import other\nX = other.X")
    write("deep/other.py", "import characters.deep as deep\nX = 1")
    write("ada.py", "from .deep import *\nfrom characters.deep import part, C\nfrom . import deep")
    space, ada = build(directory)
    assert (ada.X, ada.NAME, ada.C.__module__) == (1, "characters.deep", "characters.deep")
    assert sys.modules[f"characters.b{space.build}.deep.part"] is ada.part is ada.deep.part


def test_a_file_may_put_something_in_its_own_place(directory: Path, write: Write) -> None:
    """What a helper puts under its `__name__` into `sys.modules` is what others import, and only in its build."""
    write("_lazy.py", "import sys\nclass Lazy:\n    X = 1\nsys.modules[__name__] = Lazy")
    write("ada.py", "from . import _lazy\nfrom ._lazy import X")
    for _ in range(2):
        space, ada = build(directory)
        assert (ada._lazy.__name__, ada.X) == ("Lazy", 1)
        del space


def test_public_names_go_with_the_last_build(directory: Path, write: Write) -> None:
    """A public name stays while a build has a module of that name, and no longer."""
    write("uncommon.py", "X = 1")
    first, second = ModuleSpace(take_snapshot(directory, LIMITS)), ModuleSpace(take_snapshot(directory, LIMITS))
    first.load("uncommon.py")
    second.load("uncommon.py")
    del first
    gc.collect()
    assert "characters.uncommon" in sys.modules
    del second
    gc.collect()
    assert "characters.uncommon" not in sys.modules
