"""A server that watches a directory in which editors and package managers work too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, BlockingServer, wait_for


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[BlockingServer]:
    """A server that watches Ada and Zoe, and leaves out drafts."""
    server = BlockingServer(tmp_path, "--watch", "--exclude", "drafts/", "--exclude", "wip_*,*.bak.py")
    yield server
    server.process.kill()
    server.process.wait(60)


def prompts(server: BlockingServer) -> dict[str, str]:
    """The fingerprint of each character that serves."""
    return {entry["name"]: entry["fingerprint"] for entry in server.get("/v1/characters")[1]["characters"]}


def check_with_flycheck(directory: Path) -> None:
    """Emacs with Flycheck: an unfinished copy beside the file, a lock, and then the file itself."""
    (directory / ".#zoe.py").symlink_to("me@host.1234:1")
    for text in (character("Zoe") + "def unfin", character("Zoe", "Half.")):
        (directory / "flycheck_zoe.py").write_text(text)
        (directory / "flycheck_zoe.py").unlink()
    (directory / "zoe.py").write_text(character("Zoe", "By Emacs."))
    (directory / ".#zoe.py").unlink()


def check_with_flymake(directory: Path) -> None:
    """Emacs with Flymake, as before Emacs 26."""
    (directory / "zoe_flymake.py").write_text(character("Zoe", "Half."))
    (directory / "zoe.py").write_text(character("Zoe", "By Flymake."))
    (directory / "zoe_flymake.py").unlink()


def save_as_jetbrains(directory: Path) -> None:
    """PyCharm's safe write: the new text beside the file, the old one renamed away, and both renamed."""
    (directory / "zoe.py___jb_tmp___").write_text(character("Zoe", "By PyCharm."))
    (directory / "zoe.py").rename(directory / "zoe.py___jb_old___")
    (directory / "zoe.py___jb_tmp___").rename(directory / "zoe.py")
    (directory / "zoe.py___jb_old___").unlink()


def save_as_vim(directory: Path) -> None:
    """Vim: a swap file, a probe called 4913, the backup, and the new file."""
    (directory / ".zoe.py.swp").write_bytes(b"b0VIM 9.0")
    (directory / "4913").touch()
    (directory / "4913").unlink()
    (directory / "zoe.py").rename(directory / "zoe.py~")
    (directory / "zoe.py").write_text(character("Zoe", "By Vim."))
    (directory / "zoe.py~").unlink()
    (directory / ".zoe.py.swp").unlink()


@pytest.mark.parametrize("save", [check_with_flycheck, check_with_flymake, save_as_jetbrains, save_as_vim])
def test_only_the_file_itself_goes_live(watched: BlockingServer, save: Callable[[Path], None]) -> None:
    """However an editor saves, the reloads name Zoe's own file only, and end with the new version of her."""
    before = prompts(watched)
    save(watched.directory)
    wait_for(lambda: prompts(watched)["Zoe"] != before["Zoe"])
    assert prompts(watched)["Ada"] == before["Ada"]
    reports = [report for report in watched.get("/v1/characters/reloads")[1]["reloads"] if report["trigger"] == "watch"]
    assert [report["errors"] for report in reports] == [[]] * len(reports)
    assert {name for report in reports for name in report["changes"]["modified"]} == {"Zoe"}


@pytest.mark.slow
def test_environment_changes_nothing(watched: BlockingServer) -> None:
    """A virtual environment with pip, made below the directory while the server watches, is no part of the set."""
    before = prompts(watched)
    subprocess.run([sys.executable, "-m", "venv", watched.directory / "venv"], check=True)
    (watched.directory / "zoe.py").write_text(character("Zoe", "Beside an environment."))
    wait_for(lambda: prompts(watched)["Zoe"] != before["Zoe"])
    status = watched.get("/v1/characters/status")[1]
    assert status["left_out"] == [{"path": "venv/", "reason": "an environment: it has pyvenv.cfg"}]
    assert status["last_reload"]["changes"]["unchanged"] == 1


def test_status_and_check_name_what_was_left_out(watched: BlockingServer) -> None:
    """`charhost status` and `charhost check` list the same paths with the same reasons."""
    for name in ("drafts/eve.py", "wip_eve.py", "old.bak.py", "flycheck_zoe.py"):
        (watched.directory / name).parent.mkdir(exist_ok=True)
        (watched.directory / name).write_text("1 / 0")
    watched.reload()
    lines = [
        "drafts/: matches drafts/ of --exclude",
        "flycheck_zoe.py: matches flycheck_*.py",
        "old.bak.py: matches *.bak.py of --exclude",
        "wip_eve.py: matches wip_* of --exclude",
    ]
    status = charhost("status", "--url", watched.url)
    assert [line.removeprefix("left out").strip() for line in status.splitlines()[-4:]] == lines
    check = charhost("check", str(watched.directory), CHARHOST_EXCLUDE="drafts/,wip_*,*.bak.py")
    assert [line for line in check.splitlines() if line.startswith("left out: ")] == [f"left out: {it}" for it in lines]
    report = json.loads(charhost("check", str(watched.directory), "--json", CHARHOST_EXCLUDE="drafts/,wip_*,*.bak.py"))
    assert report["left_out"] == watched.get("/v1/characters/status")[1]["left_out"]


def charhost(*arguments: str, **environment: str) -> str:
    """The output of a command that succeeds."""
    command = [sys.executable, "-m", "charhost", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT | environment).stdout


def test_only_a_few_of_many_are_listed(watched: BlockingServer) -> None:
    """The table ends after ten paths with the number of the others; the JSON has all."""
    for number in range(12):
        (watched.directory / f"wip_{number:02}.py").touch()
    watched.reload()
    assert charhost("status", "--url", watched.url).splitlines()[-1].strip() == "and 2 more"
    assert len(watched.get("/v1/characters/status")[1]["left_out"]) == 12
