"""The `charhost` command."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from typer.models import CommandInfo

from charhost import __version__
from charhost.cli import app, imported
from tests.cli.helpers import run


def test_version() -> None:
    """`charhost --version` prints the version and exits."""
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"charhost {__version__}\n")


def test_python_m_charhost_is_the_same_command() -> None:
    """`python -m charhost` works where the script is not on the path."""
    output = subprocess.run([sys.executable, "-m", "charhost", "--version"], capture_output=True, check=True).stdout
    assert output.decode() == f"charhost {__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    """`charhost` without a command prints the commands."""
    assert all(command in run().output for command in ("serve", "new", "check", "preview", "chat"))


def test_shell_completion_is_offered() -> None:
    """The shell's completion of the commands is printed completely."""
    environment = os.environ | {"_CHARHOST_COMPLETE": "complete_bash", "COMP_WORDS": "charhost ", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['charhost']; from charhost.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, {"serve", "check", "chat"} <= set(done.stdout.split())) == (0, True)
    assert "--install-completion" in run("--help").output


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda command: command.callback.__name__)
def test_each_command_is_listed_with_its_first_sentence(command: CommandInfo) -> None:
    """The list of commands, which imports none of them, has the first sentence of each."""
    assert command.callback is not None
    assert re.split(r"(?<=\.)\s", imported(command.callback.__name__).help)[0] == command.callback.__doc__
