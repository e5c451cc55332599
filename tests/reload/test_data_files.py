"""Files that a character opens while it is loaded belong to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import Write

# Authors write `open(…).read()`.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

HEAD = "import json, os, pathlib\nHERE = pathlib.Path(__file__).parent\n"
CHANGED = ReloadRequest(scope="changed", on_error="keep")

# Ways to read words.txt at the top of a file.
WAYS = {
    "open": "WORDS = open(HERE / 'words.txt').read()",
    "text path": "WORDS = open(os.path.join(os.path.dirname(__file__), 'words.txt')).read()",
    "pathlib": "WORDS = (HERE / 'words.txt').read_text()",
    "real path": "WORDS = (HERE.resolve() / 'words.txt').read_text()",
    "os.open": "WORDS = os.read(os.open(HERE / 'words.txt', os.O_RDONLY), 99).decode()",
    "bytes path": "WORDS = open(os.fsencode(HERE) + b'/words.txt').read()",
    "loader": "import pkgutil\nWORDS = pkgutil.get_data(__name__, 'words.txt').decode()",
    "linecache": "import linecache\nlinecache.checkcache()\nWORDS = linecache.getline(f'{HERE}/words.txt', 1).strip()",
    "executor": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor() as pool:\n    (WORDS,) = pool.map(pathlib.Path.read_text, [HERE / 'words.txt'])",
    "thread": "import threading\nFOUND = []\ndef read():\n    FOUND.append((HERE / 'words.txt').read_text())\n"
    "thread = threading.Thread(target=read)\nthread.start()\nthread.join()\n(WORDS,) = FOUND",
    "asyncio": "import asyncio\nWORDS = asyncio.run(asyncio.to_thread((HERE / 'words.txt').read_text))",
    "working directory": "os.chdir(HERE)\nWORDS = open('words.txt').read()",
}


def reader(way: str = "pathlib", name: str = "Ada") -> str:
    """The source of a character whose prompt is the text of words.txt."""
    return f"{HEAD}{WAYS[way]}\n{character(name)}\nINSTRUCTIONS = {{'text': WORDS}}\n"


async def changed(manager: CharacterManager) -> ReloadReport:
    """Reload as the watcher does."""
    return await manager.reload_characters(CHANGED, trigger="watch")


@pytest.mark.parametrize("way", WAYS)
async def test_edited_data_make_the_character_new(
    manager: CharacterManager, write: Write, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """However a file is read at the top, a new text of it makes its character new, and no other one."""
    monkeypatch.chdir(Path.cwd())
    write("words.txt", "one")
    write("ada.py", reader(way))
    write("bob.py", character("Bob"))
    await changed(manager)
    bob = manager.current["Bob"]
    for text in ("two", "six", "seven"):
        write("words.txt", text)
        assert (await changed(manager)).changes.modified == ("Ada",)
        assert (prompt(manager), manager.current["Bob"]) == (text, bob)
        assert (await changed(manager)).outcome == "unchanged"


async def test_touch_and_rewrite_change_nothing(manager: CharacterManager, write: Write) -> None:
    """The content of data counts, not their times (promise 18)."""
    file = write("words.txt", "one")
    write("ada.py", reader())
    await changed(manager)
    file.touch()
    file.with_name("new").write_text("one")
    file.with_name("new").replace(file)
    assert (await changed(manager)).outcome == "unchanged"


async def test_data_of_a_helper_are_those_of_its_importers(manager: CharacterManager, write: Write) -> None:
    """What a helper reads, at its top or in a function that the first of two characters calls, is of both."""
    write("words.txt", "one")
    write("words.json", "[1]")
    write(
        "resources/words.py",
        f"{HEAD}import functools\n{WAYS['pathlib'].replace('HERE', 'HERE.parent')}\n"
        "@functools.cache\ndef numbers():\n    return json.load(open(HERE.parent / 'words.json'))\n",
    )
    for name in ("Ada", "Bob"):
        top = "from .resources.words import WORDS, numbers\n"
        write(f"{name.lower()}.py", f"{top}{character(name)}\nINSTRUCTIONS = {{'text': f'{{WORDS}}{{numbers()}}'}}\n")
    write("carl.py", character("Carl"))
    await changed(manager)
    for path, text, expected in (("words.txt", "two", "two[1]"), ("words.json", "[2]", "two[2]")):
        write(path, text)
        assert (await changed(manager)).changes.modified == ("Ada", "Bob")
        assert [prompt(manager, name) for name in ("Ada", "Bob")] == [expected] * 2


async def test_missing_data_count(manager: CharacterManager, write: Write, directory: Path) -> None:
    """A file that was looked for in vain makes the character new when it appears, and when it goes."""
    fallback = f"try:\n    {WAYS['open']}\nexcept FileNotFoundError:\n    WORDS = 'none'\n"
    write("ada.py", f"{HEAD}{fallback}{character()}\nINSTRUCTIONS = {{'text': WORDS}}\n")
    await changed(manager)
    assert prompt(manager) == "none"
    write("words.txt", "one")
    await changed(manager)
    assert prompt(manager) == "one"
    (directory / "words.txt").unlink()
    await changed(manager)
    assert prompt(manager) == "none"


async def test_bad_data_keep_the_last_good_version(manager: CharacterManager, write: Write) -> None:
    """Data with a mistake are an error of the character, and the repaired ones are loaded."""
    write("words.json", '"one"')
    write(
        "ada.py", f"{HEAD}WORDS = json.load(open(HERE / 'words.json'))\n{character()}\nINSTRUCTIONS = {{'text': WORDS}}"
    )
    await changed(manager)
    write("words.json", '"tw')
    assert [error.exception for error in (await changed(manager)).errors] == ["JSONDecodeError"]
    assert prompt(manager) == "one"
    write("words.json", '"two"')
    assert ((await changed(manager)).errors, prompt(manager)) == ((), "two")


async def test_data_that_are_read_later_do_not_count(manager: CharacterManager, write: Write) -> None:
    """What a prompt opens is read at that moment anyway."""
    write("words.txt", "one")
    body = "\n    def make_system_prompt(self):\n        return (HERE / 'words.txt').read_text()\n"
    write("ada.py", f"{HEAD}{character()}{body}")
    await changed(manager)
    assert prompt(manager) == "one"
    write("words.txt", "two")
    assert ((await changed(manager)).outcome, prompt(manager)) == ("unchanged", "two")


@pytest.mark.parametrize("path", ["venv/words.txt", "__pycache__/words.txt", "drafts/words.txt", "../words.txt"])
async def test_data_elsewhere_do_not_count(settings: Settings, write: Write, path: str) -> None:
    """Files outside the directory, and in what is left out, belong to no character."""
    manager = CharacterManager(settings.model_copy(update={"exclude": ("drafts/",)}), Metrics())
    write("venv/pyvenv.cfg", "")
    write(path, "one")
    write("ada.py", reader().replace("words.txt", path))
    await manager.reload_characters()
    write(path, "two")
    assert (await changed(manager)).outcome == "unchanged"


async def test_file_that_a_character_writes_is_its_state(manager: CharacterManager, write: Write) -> None:
    """A file that is read and written by the character does not make it new, neither by its load nor by a call."""
    write("seen.json", "1")
    source = "SEEN = json.loads((HERE / 'seen.json').read_text())\n(HERE / 'seen.json').write_text(str(SEEN + 1))\n"
    body = "\n    def save(self):\n        new = HERE / 'scores.new'\n        new.write_text('2')\n"
    body += "        new.replace(HERE / 'scores.json')\n"
    write("scores.json", "1")
    write("ada.py", f"{HEAD}{source}SCORES = (HERE / 'scores.json').read_text()\n{character()}{body}")
    await changed(manager)
    ada = manager.current["Ada"]
    ada.prompt_generator(ada.instructions).save()
    assert (await changed(manager)).outcome == "unchanged"
    assert manager.current["Ada"] is ada


async def test_change_during_the_load_is_not_missed(manager: CharacterManager, write: Write) -> None:
    """Data that change after they were read, while the load goes on, make the character new afterwards."""
    file = write("words.txt", "one")
    write("ada.py", f"{reader()}\nimport subprocess\nsubprocess.run(['sh', '-c', 'printf two > {file}'])\n")
    await changed(manager)
    assert prompt(manager) == "one"
    await changed(manager)
    assert prompt(manager) == "two"


async def test_scope_all_names_what_changed(manager: CharacterManager, write: Write) -> None:
    """A full reload reports a character with other data as modified, the others as unchanged."""
    write("words.txt", "one")
    write("ada.py", reader())
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    write("words.txt", "two")
    changes = (await manager.reload_characters()).changes
    assert (changes.modified, changes.unchanged) == (("Ada",), 1)


async def test_fingerprint_is_the_same_after_a_restart(settings: Settings, write: Write) -> None:
    """Two servers that load the same bytes and data give the same fingerprint, so ETags outlive a restart."""
    write("words.txt", "one")
    write("ada.py", reader())
    found = []
    for _ in range(2):
        manager = CharacterManager(settings, Metrics())
        await manager.reload_characters()
        found.append(manager.current.revision)
    assert found[0] == found[1]


async def test_rollback_reads_the_data_of_now(manager: CharacterManager, write: Write) -> None:
    """A rollback restores the code; the data are those that lie there."""
    write("words.txt", "one")
    write("ada.py", reader())
    await manager.reload_characters()
    write("ada.py", character("Ada", "Other."))
    write("words.txt", "two")
    await manager.reload_characters()
    await manager.reload_characters(source=FromHistory(), trigger="rollback")
    assert prompt(manager) == "two"


async def test_large_and_special_files_cost_nothing(manager: CharacterManager, write: Write, directory: Path) -> None:
    """A large sparse file counts by size and time, and a pipe is not opened to look at it."""
    with open(directory / "large", "wb") as file:
        file.truncate(1 << 32)
    os.mkfifo(directory / "pipe")
    source = (
        "LARGE = open(HERE / 'large', 'rb').read(1)\nos.close(os.open(HERE / 'pipe', os.O_RDONLY | os.O_NONBLOCK))\n"
    )
    write("ada.py", f"{HEAD}{source}{character()}")
    assert (await changed(manager)).errors == ()
    assert (await changed(manager)).outcome == "unchanged"
    os.truncate(directory / "large", 5)
    assert (await changed(manager)).changes.modified == ("Ada",)
