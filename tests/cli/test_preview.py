"""`charhost preview` prints the prompt of one character, and its tools and greetings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from charhost.cli import app
from tests.conftest import character
from tests.reload.helpers import Write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rehearsals are for Linux only")


TOOLS = """
GREETING = ["Hello.", "Welcome."]
TOOLS = [{"type": "function", "function": {"name": "roll", "description": "Roll dice.",
          "parameters": {"type": "object", "properties": {"count": {}, "sides": {}}}}}]
PromptGenerator.handle_tool_call = lambda self, name, arguments: "6"
"""
HOST_TOOLS = "HOST_TOOLS = ['list_characters']\n"


def preview(name: str, directory: Path, *options: str) -> Result:
    """Run `charhost preview`, and return its result."""
    return CliRunner().invoke(app, ["preview", name, "--directory", str(directory), *options])


def test_prompt_is_printed_with_its_tools(directory: Path, write: Write) -> None:
    """The prompt is printed first, then the file, the size, the tools and the greetings."""
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
    """With `--json` the same is printed as JSON."""
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
    """A file with another literal name is not executed."""
    write("bob.py", f"open({str(tmp_path / 'run')!r}, 'w'){character('Bob')}")
    assert preview(" Ada ", directory).exit_code == 0
    assert not (tmp_path / "run").exists()


def test_computed_name_is_found(directory: Path, write: Write) -> None:
    """A computed name is found by executing the file."""
    write("bob.py", character("Bob").replace('"Bob"', '"B" + "ob"'))
    assert "file: bob.py" in preview("Bob", directory).stdout


def test_first_file_of_a_name_is_shown(directory: Path, write: Write) -> None:
    """Of two files with one name the first one is shown."""
    write("bob.py", character("Ada", "Be wild."))
    assert preview("Ada", directory).stdout.startswith("Be kind.\n")


@pytest.mark.parametrize(("name", "near"), [("Zoé O'Hare", "Zoë O'Hara"), ("zoe", "Zoë O'Hara"), ("AD", "Ada")])
def test_unknown_name_lists_the_nearest(directory: Path, write: Write, name: str, near: str) -> None:
    """An unknown name is an error that lists similar names."""
    write("zoe.py", character("Zoë O'Hara"))
    result = preview(name, directory)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"✗ there is no {name} in {directory}; did you mean {near}?\n"


def test_quite_another_name_lists_all(directory: Path, write: Write) -> None:
    """Without a similar name the error lists all names."""
    write("bob.py", character("Bob"))
    assert preview("Xylophon", directory).stderr.endswith("; there are Ada, Bob\n")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1 / 0", "bob.py:16: ZeroDivisionError: division by zero"),
        ("import ctypes; ctypes.string_at(0)", "bob.py: Crash: loaded in a child process, the process died of SIGSEGV"),
    ],
)
def test_failure_is_an_error_of_the_file(directory: Path, write: Write, source: str, text: str) -> None:
    """A failure or crash is printed as by `charhost check`."""
    write("bob.py", character("Bob") + f"\n\n{source}")
    result = preview("Bob", directory)
    assert (result.exit_code, result.stdout) == (1, "")
    assert text in result.stderr


def test_prompt_sends_nothing_to_the_terminal(directory: Path, write: Write) -> None:
    """Control characters of a prompt are escaped."""
    write("bob.py", character("Bob").replace('"Be kind."', r'"\x1b[2J\tBe kind."'))
    assert preview("Bob", directory).stdout.startswith("\\x1b[2J\\tBe kind.\n")


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_directory_without_characters_ends_with_1(tmp_path: Path, name: str) -> None:
    """An empty or missing directory is named, and the status is 1."""
    (tmp_path / "empty").mkdir()
    result = preview("Ada", tmp_path / name)
    assert (result.exit_code, str(tmp_path / name) in result.stderr) == (1, True)
