"""Saving a data file under `--watch` makes its character new, with real tools and across a restart."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import BlockingServer, wait_for

READER = f"""from pathlib import Path
WORDS = Path(__file__).with_name("words.txt").read_text().strip()
{character("Ada")}
METADATA = {{"good": True, "comment": WORDS}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with nothing in it yet."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def watched(home: Path) -> Iterator[BlockingServer]:
    """A server that watches Ada, who reads words.txt while she is loaded, and Zoe."""
    server = BlockingServer(home, "--watch")
    (server.directory / "words.txt").write_text("one")
    (server.directory / "ada.py").write_text(READER)
    wait_for(lambda: server.comments()["Ada"] == "one")
    yield server
    server.process.kill()
    server.process.wait(60)


SAVES = {
    "in place": "printf two > words.txt",
    "rename over": "printf two > .words.tmp && mv .words.tmp words.txt",
    "JetBrains": "printf two > words.txt___jb_tmp___ && mv words.txt words.txt___jb_old___"
    " && mv words.txt___jb_tmp___ words.txt && rm words.txt___jb_old___",
    "Vim": "mv words.txt words.txt~ && printf two > words.txt && rm words.txt~",
    "sed": "sed -i s/one/two/ words.txt",
    "link": "printf two > ../two.txt && ln -sfn ../two.txt words.txt",
    "rsync": "printf two > ../words.txt && rsync -tI ../words.txt words.txt",
    "git": "git init -q -b main && git add . && git -c user.name=t -c user.email=t@localhost commit -qm 1"
    " && printf two > words.txt && git stash -q && git stash pop -q",
}


@pytest.mark.parametrize("save", SAVES)
def test_saved_data_are_served(watched: BlockingServer, save: str) -> None:
    """However words.txt is saved, Ada is new without a request, and Zoe is not."""
    if save in ("rsync", "git") and shutil.which(save) is None:
        pytest.skip(f"{save} is not installed")
    environment = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@localhost", "PATH": "/usr/bin:/bin"}
    environment |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@localhost"}
    subprocess.run(["sh", "-euc", SAVES[save]], cwd=watched.directory, check=True, env=environment)
    wait_for(lambda: watched.comments()["Ada"] == "two")
    last = watched.get("/v1/characters/status")[1]["last_reload"]
    assert (watched.comments()["Ada"], last["trigger"], last["changes"]["modified"]) == ("two", "watch", ["Ada"])


def test_other_files_cause_no_reload(watched: BlockingServer) -> None:
    """A file that no character has read is no reason for a reload, and data after it still are."""
    before = watched.get("/v1/characters/status")[1]["last_reload"]["reload_id"]
    (watched.directory / "notes.txt").write_text("mine")
    (watched.directory / "words.txt").touch()
    assert watched.get("/v1/characters/status")[1]["last_reload"]["reload_id"] == before
    (watched.directory / "words.txt").write_text("two")
    wait_for(lambda: watched.comments()["Ada"] == "two")
    reloads = watched.get("/v1/characters/reloads")[1]["reloads"]
    assert [report["reload_id"] for report in reloads[:2]][1] == before


def test_data_of_a_resumed_set_are_watched(home: Path) -> None:
    """A set that was restored at the start knows its data files as well."""
    options = ("--watch", "--state", str(home / "state"), "--resume-set")
    server = BlockingServer(home, *options)
    (server.directory / "words.txt").write_text("one")
    (server.directory / "ada.py").write_text(READER)
    wait_for(lambda: server.comments()["Ada"] == "one")
    assert server.end() == 0
    shutil.move(server.directory, home / "kept")
    server = BlockingServer(home, *options)
    try:
        shutil.rmtree(server.directory)
        shutil.move(home / "kept", server.directory)
        wait_for(lambda: server.comments()["Ada"] == "one")
        (server.directory / "words.txt").write_text("two")
        wait_for(lambda: server.comments()["Ada"] == "two")
        assert server.comments()["Ada"] == "two"
    finally:
        server.process.kill()
        server.process.wait(60)
