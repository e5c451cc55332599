"""The `charhost` command."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from charhost import __version__
from charhost.cli import app
from charhost.errors import SettingsError
from charhost.settings import Settings, is_secret, settings_by_group

SERVE: Any = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set is out of sight."""
    for name in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that were served with; nothing is really served, nor is the log of the tests touched."""
    served: list[Settings] = []
    monkeypatch.setattr("charhost.web.app.serve", served.append)
    monkeypatch.setattr("charhost.cli.logs.configure", lambda settings: None)
    return served


def run(*arguments: str) -> Result:
    """The outcome of a command line."""
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_version() -> None:
    """`charhost --version` tells the version and exits."""
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"charhost {__version__}\n")


def test_python_m_charhost_is_the_same_command() -> None:
    """`python -m charhost` works where the script is not on the path."""
    output = subprocess.run([sys.executable, "-m", "charhost", "--version"], capture_output=True, check=True).stdout
    assert output.decode() == f"charhost {__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    """Whoever types only `charhost` learns what there is."""
    assert all(command in run().output for command in ("serve", "new", "check", "preview", "chat"))


def test_shell_completion_is_offered() -> None:
    """The shell's completion of the commands arrives whole, though the process ends at once."""
    environment = os.environ | {"_CHARHOST_COMPLETE": "complete_bash", "COMP_WORDS": "charhost ", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['charhost']; from charhost.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, {"serve", "check", "chat"} <= set(done.stdout.split())) == (0, True)
    assert "--install-completion" in run("--help").output


def test_every_setting_is_an_option_but_the_keys() -> None:
    """The options of serve are the settings; a key on a command line could be read by every user."""
    options = {parameter.name: parameter.opts for parameter in SERVE.params if parameter.name != "help"}
    names = [name for name in Settings.model_fields if not is_secret(name)]
    assert options == {name: [f"--{name.replace('_', '-')}"] for name in names}


def test_every_option_explains_itself() -> None:
    """The help of each option is the description of its setting."""
    for parameter in SERVE.params:
        assert parameter.help == Settings.model_fields[parameter.name].description


def test_the_help_shows_the_defaults() -> None:
    """The usual values can be read in the help."""
    shown = {parameter.name: parameter.show_default for parameter in SERVE.params}
    assert (shown["port"], shown["host"], shown["sessions"]) == ("8000", "127.0.0.1", "close")
    assert re.search(r"default: \(?8000", run("serve", "--help").output)


def test_options_become_settings(served: list[Settings], tmp_path: Path) -> None:
    """What is given on the command line is what is served with."""
    result = run(
        "serve", "--directory", str(tmp_path), "--port", "8123", "--sessions", "keep", "--file-deadline", "0.5"
    )
    assert (result.exit_code, len(served)) == (0, 1)
    settings = served[0]
    assert (settings.directory, settings.port, settings.sessions, settings.file_deadline) == (
        tmp_path,
        8123,
        "keep",
        0.5,
    )


def test_what_is_not_given_is_left_to_the_environment(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that is absent does not hide its variable; one that is given does."""
    monkeypatch.setenv("CHARHOST_PORT", "8123")
    monkeypatch.setenv("CHARHOST_SESSIONS", "keep")
    run("serve", "--port", "9000")
    assert (served[0].port, served[0].sessions) == (9000, "keep")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "charhost: port (--port, CHARHOST_PORT): Input should be less than"),
        (["--sessions", "x"], "charhost: sessions (--sessions, CHARHOST_SESSIONS): Input should be 'close'"),
        (["--host", "0.0.0.0"], "charhost: listening on 0.0.0.0 lets other machines run code"),
        (["--admin-key-file", "/nowhere"], "charhost: CHARHOST_ADMIN_KEY_FILE (--admin-key-file): [Errno 2] No such"),
        (["--log-file", "/proc/nowhere/log"], "charhost: [Errno 2] No such file or directory: '/proc/nowhere'"),
    ],
)
def test_bad_settings_exit_with_2(monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    """Settings that cannot work end the command with status 2 and a line that says what to set."""
    monkeypatch.setattr("charhost.web.app.serve", lambda settings: pytest.fail("it was served"))
    result = run("serve", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(said)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--port", "http"], ["--admin-key", "s3cret"], ["--colour", "red"], ["extra"]])
def test_wrong_usage_exits_with_2(served: list[Settings], arguments: list[str]) -> None:
    """What is no option, or no number, is refused; there is no option for a key."""
    assert run("serve", *arguments).exit_code == 2
    assert served == []


def test_a_failure_to_serve_exits_with_2(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """What prevents serving is one line, not a traceback."""

    def serve(settings: Settings) -> None:
        raise SettingsError("cannot listen on 127.0.0.1:8000: Address already in use")

    monkeypatch.setattr("charhost.web.app.serve", serve)
    result = run("serve")
    assert (result.exit_code, result.stderr) == (
        2,
        "charhost: cannot listen on 127.0.0.1:8000: Address already in use\n",
    )


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A server on a taken port ends at once with status 2, says which address it was and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "charhost", "serve", "--directory", str(tmp_path), "--port", port]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    said = f"charhost: cannot listen on 127.0.0.1:{port}: the address is in use; choose another with --port"
    assert result.stderr.splitlines()[-1] == said
    assert "Traceback" not in result.stderr


def test_help_groups_the_options_of_serve() -> None:
    """`charhost serve --help` shows each option in the group of its setting."""
    groups = {name: group for group, names in settings_by_group().items() for name in names}
    panels = {option.name: option.rich_help_panel for option in SERVE.params if option.name != "help"}
    assert panels == {name: group for name, group in groups.items() if not is_secret(name)}
    shown = run("serve", "--help").output
    assert [group for group in settings_by_group() if f"─ {group} ─" not in shown] == []
