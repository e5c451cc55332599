"""The files that a build opens while it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.loading.data_file import digest_of
from tests.loading.helpers import space_of
from tests.reload.helpers import Write

HERE = "import pathlib\nHERE = pathlib.Path(__file__).parent\n"


def test_file_that_is_read_belongs_to_its_reader(directory: Path, write: Write) -> None:
    """A file below the directory that is read at the top is noted with its digest, with its reader alone."""
    words = write("words.txt", "one")
    write("ada.py", f"{HERE}WORDS = (HERE / 'words.txt').read_text()\n")
    write("bob.py", "")
    space = space_of(directory)
    for path in ("ada.py", "bob.py"):
        space.load(path)
    assert space.snapshot.data == {"words.txt": digest_of(str(words))}
    assert [space.snapshot.files[path].opened for path in ("ada.py", "bob.py")] == [{"words.txt"}, set()]


@pytest.mark.parametrize("init", ["__init__.py", "resources/x.py"])
def test_resource_of_the_package_is_data(directory: Path, write: Write, init: str) -> None:
    """The public name of the directory leads to its files, with and without an `__init__.py`."""
    write(init, "")
    write("resources/words.txt", "one")
    get = "files('characters').joinpath('resources', 'words.txt').read_text()"
    write("ada.py", f"from importlib.resources import files\nWORDS = {get}\nSAME = files(__package__).is_dir()\n")
    space = space_of(directory)
    module = space.load("ada.py")
    assert (module.WORDS, module.SAME, list(space.snapshot.data)) == ("one", True, ["resources/words.txt"])


def test_file_of_a_helper_belongs_to_both(directory: Path, write: Write) -> None:
    """A file that a helper opens for its caller is noted with both."""
    write("words.txt", "one")
    write("_words.py", f"{HERE}def words():\n    return (HERE / 'words.txt').read_text()\n")
    write("ada.py", "from characters._words import words\nWORDS = words()\n")
    space = space_of(directory)
    space.load("ada.py")
    assert [space.snapshot.files[path].opened for path in ("ada.py", "_words.py")] == [{"words.txt"}, {"words.txt"}]


@pytest.mark.parametrize("source", ["open('/etc/hostname').close()", "open(HERE / '__pycache__' / 'x', 'w').close()"])
def test_other_file_is_not_noted(directory: Path, write: Write, source: str) -> None:
    """A file elsewhere, and one that is written, is no data file."""
    write("__pycache__/x", "")
    write("ada.py", f"{HERE}{source}\n")
    space = space_of(directory)
    space.load("ada.py")
    assert space.snapshot.data == {}


def test_nothing_is_noted_after_the_load(directory: Path, write: Write) -> None:
    """A file that is opened later is read at that moment anyway."""
    write("words.txt", "one")
    write("ada.py", f"{HERE}def words():\n    return (HERE / 'words.txt').read_text()\n")
    space = space_of(directory)
    module = space.load("ada.py")
    space.seal()
    assert module.words() == "one"
    assert space.snapshot.data == {}
