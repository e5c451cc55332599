"""`charhost check`: its output, and its exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.cli import app
from charhost.cli.check import CheckReport
from charhost.report import ReloadReport
from tests.conftest import character

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rehearsals are for Linux only")


def run(*arguments: str) -> Result:
    """Run a command line, and return its result."""
    return CliRunner().invoke(app, list(arguments))


def test_good_directory_ends_with_0(directory: Path) -> None:
    """A directory of good files is printed with one line each, and the status is 0."""
    result = run("check", str(directory))
    assert result.exit_code == 0, result.output
    *lines, last = result.stdout.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["file", "character", "prompt", "tools"],
        ["ada.py", "Ada", "8", "characters", "–"],
    ]
    assert last.startswith(f"✓ 1 of 1 character files in {directory} would serve. (")


def test_tools_of_the_host_are_listed(directory: Path, write: Callable[[str, str], Path]) -> None:
    """The table lists the host's tools with the others, and the report has them in a field of their own."""
    write("ada.py", f"{character()}HOST_TOOLS = ['list_characters']")
    assert run("check", str(directory)).stdout.splitlines()[1].split()[-1] == "list_characters"
    report = json.loads(run("check", str(directory), "--json").stdout)
    assert (report["characters"][0]["tools"], report["characters"][0]["host_tools"]) == ([], ["list_characters"])


def test_one_bad_file_ends_with_1(directory: Path, write: Callable[[str, str], Path]) -> None:
    """A file that fails is printed like an error of a compiler, and the status is 1."""
    write("bob.py", "X = 1\n1 / 0")
    result = run("check", str(directory))
    assert result.exit_code == 1
    assert "bob.py:2: ZeroDivisionError: division by zero" in result.stdout.splitlines()
    assert f"✗ 1 of 2 character files in {directory} would not serve. (" in result.stdout


def test_name_that_hides_another_is_a_warning(directory: Path, write: Callable[[str, str], Path]) -> None:
    """A name that looks like that of a character of another set is named; the files are good all the same."""
    write("bob.py", character("gaming/Bob"))
    write("cyd.py", character("Cyd/Dee"))
    result = run("check", str(directory))
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    hidden = "hides the character Bob of a set called gaming: give it another name"
    assert (result.exit_code, warnings) == (0, [f"warning: bob.py: the name gaming/Bob {hidden}"])


def test_second_file_of_a_name_is_an_error(directory: Path, write: Callable[[str, str], Path]) -> None:
    """The second file of a name is an error with the line of the name."""
    write("bob.py", character("Ada"))
    text = "'Ada' is already the CHARACTER_NAME of ada.py; give one of them another name"
    assert f"bob.py:2: DuplicateName: {text}" in run("check", str(directory)).stdout


def test_report_has_the_fields_of_a_reload(directory: Path, write: Callable[[str, str], Path]) -> None:
    """With `--json` only a report is printed, whose fields are those of a reload and the characters."""
    write("bob.py", "1 / 0")
    result = run("check", str(directory), "--json")
    report = json.loads(result.stdout)
    counts = report["success"], report["outcome"], report["total_files"], report["loaded_count"], report["error_count"]
    assert (result.exit_code, counts) == (1, (False, "rejected", 2, 1, 1))
    assert {**report["errors"][0], "traceback": None} == {
        "file": "bob.py",
        "line": 1,
        "character": None,
        "error_type": "ZeroDivisionError",
        "exception": "ZeroDivisionError",
        "message": "division by zero",
        "traceback": None,
    }
    assert report["characters"] == [
        {"file": "ada.py", "name": "Ada", "prompt_characters": 8, "tools": [], "host_tools": []}
    ]
    assert set(CheckReport.model_fields) - {"characters", "left_out", "warnings"} <= set(ReloadReport.model_fields)


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_nothing_to_load_ends_with_1(tmp_path: Path, name: str) -> None:
    """An empty or missing directory is named, and the status is 1."""
    (tmp_path / "empty").mkdir()
    result = run("check", str(tmp_path / name))
    assert (result.exit_code, str(tmp_path / name) in result.stdout) == (1, True)


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["one", "two"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """Wrong usage ends with 2, unlike files that fail."""
    assert run("check", *arguments).exit_code == 2


def test_settings_that_cannot_work_end_with_2(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid variable is named, and the status is 2."""
    monkeypatch.setenv("CHARHOST_FILE_DEADLINE", "soon")
    result = run("check", str(directory))
    assert result.exit_code == 2
    assert "CHARHOST_FILE_DEADLINE" in result.stderr


def test_without_an_argument_the_setting_is_checked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the directory of the settings is checked."""
    monkeypatch.setenv("CHARHOST_DIRECTORY", str(directory))
    assert f"1 of 1 character files in {directory} would serve" in run("check").stdout


def test_text_of_a_file_sends_nothing_to_the_terminal(directory: Path, write: Callable[[str, str], Path]) -> None:
    """Control characters in names and messages are escaped."""
    write("bob.py", r"raise ValueError('\x1b[2J')")
    write("eve.py", character("Eve").replace('"Eve"', r'"E\x1bve"'))
    result = run("check", str(directory))
    assert "\x1b" not in result.stdout
    assert r"bob.py:1: ValueError: \x1b[2J" in result.stdout


@pytest.mark.parametrize(("long", "is_shown"), [(0.0, True), (60.0, False)])
def test_long_run_shows_a_bar_on_a_terminal(
    directory: Path, monkeypatch: pytest.MonkeyPatch, long: float, is_shown: bool
) -> None:
    """A run of some length shows a progress bar on standard error."""
    monkeypatch.setattr(sys.modules["charhost.cli.check"], "_LONG", long)
    result = CliRunner().invoke(app, ["check", str(directory)], env={"FORCE_COLOR": "1"})
    assert ("Checking" in result.stderr, "Checking" in result.stdout) == (is_shown, False)


def test_other_systems_than_linux_end_with_2(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems than Linux the command ends with 2, and runs no file."""
    monkeypatch.setattr(sys, "platform", "darwin")
    result = run("check", str(directory))
    assert (result.exit_code, "Linux" in result.stderr) == (2, True)
