"""The watcher follows git and rsync."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import prompt
from tests.watch.edits import edit_helper, make_nested_folders, remove_file, restore_time, write_in_place
from tests.watch.helpers import Watched, on_disk, watching


def run(*command: str, cwd: Path) -> None:
    """Run a command and discard its output; raise if it fails."""
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_checkout_of_another_branch_is_followed(directory: Path) -> None:
    """Switching between git branches in the directory ends with the files of the branch (W2)."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    commands = ["init -q -b main", "add .", "commit -q -m one", "checkout -q -b other"]
    for command in commands:
        run(*git, *command.split(), cwd=directory)
    for edit in (write_in_place, edit_helper, remove_file, make_nested_folders):
        edit(directory)
    for command in ("add -A", "commit -q -m two"):
        run(*git, *command.split(), cwd=directory)
    async with watching(directory) as watched:
        await watched.armed()
        for branch, text in (("main", "Be kind."), ("other", "In place."), ("main", "Be kind.")):
            run(*git, "checkout", "-q", branch, cwd=directory)
            await watched.equal()
            assert prompt(watched.manager) == text


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
async def test_rsync_is_followed(tmp_path: Path, watched: Watched) -> None:
    """`rsync -a --delete`, which restores times, ends with the files of the source (W2, W21)."""
    source = tmp_path / "source"
    shutil.copytree(watched.directory, source)
    for edit in (restore_time, remove_file, make_nested_folders):
        edit(source)
    run("rsync", "-a", "--delete", "--checksum", f"{source}/", str(watched.directory), cwd=tmp_path)
    await watched.equal()
    assert watched.served() == on_disk(source)
