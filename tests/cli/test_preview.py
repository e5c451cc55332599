"""`charhost preview`: what a model will be told by one character."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.cli import app
from tests.conftest import character

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rehearsals are for Linux only")

Write = Callable[[str, str], Path]

TOOLS = """
GREETING = ["Hello.", "Welcome."]
TOOLS = [{"type": "function", "function": {"name": "roll", "description": "Roll dice.",
          "parameters": {"type": "object", "properties": {"count": {}, "sides": {}}}}}]
PromptGenerator.handle_tool_call = lambda self, name, arguments: "6"
"""
HOST_TOOLS = "HOST_TOOLS = ['list_characters']\n"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set is out of sight."""
    for name in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(name)


def preview(name: str, directory: Path, *options: str) -> Result:
    """The outcome of asking for a preview."""
    return CliRunner().invoke(app, ["preview", name, "--directory", str(directory), *options])


def test_prompt_and_all_that_goes_with_it(directory: Path, write: Write) -> None:
    """The prompt stands first, then the file, the size, the tools and the greetings."""
    write("bob.py", character("Bob", "Be kind.\nBe brief.") + TOOLS + HOST_TOOLS)
    result = preview("Bob", directory)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "Be kind.",
        "Be brief.",
        "",
        "file: bob.py",
        "size: 18 characters, about 5 tokens",
        "tool: roll(count, sides): Roll dice.",
        "host tool: list_characters(): List the characters that can be talked to.",
        "greeting: Hello.",
        "greeting: Welcome.",
    ]


def test_json(directory: Path, write: Write) -> None:
    """Programs get the same in JSON."""
    write("bob.py", character("Bob") + TOOLS + HOST_TOOLS)
    found = json.loads(preview("Bob", directory, "--json").stdout)
    assert (found["name"], found["prompt"], found["prompt_characters"], found["prompt_tokens"]) == (
        "Bob",
        "Be kind.",
        8,
        2,
    )
    assert (found["tools"][0]["function"]["name"], found["greetings"]) == ("roll", ["Hello.", "Welcome."])
    assert found["host_tools"] == ["list_characters"]


def test_other_files_are_not_run(directory: Path, write: Write, tmp_path: Path) -> None:
    """Where a file says its name plainly, no other one is run."""
    write("bob.py", f"open({str(tmp_path / 'run')!r}, 'w'){character('Bob')}")
    assert preview(" Ada ", directory).exit_code == 0
    assert not (tmp_path / "run").exists()


def test_computed_name_is_found(directory: Path, write: Write) -> None:
    """A name that only running tells is found, too."""
    write("bob.py", character("Bob").replace('"Bob"', '"B" + "ob"'))
    assert "file: bob.py" in preview("Bob", directory).stdout


def test_first_file_of_a_name_is_shown(directory: Path, write: Write) -> None:
    """Of two files with one name it is the one that would serve."""
    write("bob.py", character("Ada", "Be wild."))
    assert preview("Ada", directory).stdout.startswith("Be kind.\n")


@pytest.mark.parametrize(("name", "near"), [("Zoé O'Hare", "Zoë O'Hara"), ("zoe", "Zoë O'Hara"), ("AD", "Ada")])
def test_unknown_name_lists_the_nearest(directory: Path, write: Write, name: str, near: str) -> None:
    """A typing mistake is answered with the names that are like it."""
    write("zoe.py", character("Zoë O'Hara"))
    result = preview(name, directory)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"✗ there is no {name} in {directory}; did you mean {near}?\n"


def test_quite_another_name_lists_all(directory: Path, write: Write) -> None:
    """Where none is near, those that there are are listed."""
    write("bob.py", character("Bob"))
    assert preview("Xylophon", directory).stderr.endswith("; there are Ada, Bob\n")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "bob.py:16: ZeroDivisionError: division by zero"),
        ("import ctypes; ctypes.string_at(0)", "bob.py: Crash: loaded in a child process, the process died of SIGSEGV"),
    ],
)
def test_failure_is_an_error_of_the_file(directory: Path, write: Write, source: str, said: str) -> None:
    """What fails or crashes is told like a finding of `charhost check`."""
    write("bob.py", character("Bob") + f"\n\n{source}")
    result = preview("Bob", directory)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_prompt_sends_nothing_to_the_terminal(directory: Path, write: Write) -> None:
    """Control characters of a prompt are spelled."""
    write("bob.py", character("Bob").replace('"Be kind."', r'"\x1b[2J\tBe kind."'))
    assert preview("Bob", directory).stdout.startswith("\\x1b[2J\\tBe kind.\n")


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_directory_without_characters_ends_with_1(tmp_path: Path, name: str) -> None:
    """An empty directory, or none, is named."""
    (tmp_path / "empty").mkdir()
    result = preview("Ada", tmp_path / name)
    assert (result.exit_code, str(tmp_path / name) in result.stderr) == (1, True)
