"""`charhost serve`: its options, and its errors."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charhost.cli import imported
from charhost.errors import SettingsError
from charhost.settings import Settings, is_secret, settings_by_group
from tests.cli.helpers import run

SERVE: Any = imported("serve")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that `serve` was called with; no server starts, and the log is not configured."""
    served: list[Settings] = []
    monkeypatch.setattr("charhost.web.serve.serve", served.append)
    monkeypatch.setattr("charhost.cli.logs.configure", lambda settings: None)
    return served


def test_every_setting_is_an_option_but_the_keys() -> None:
    """Every setting is an option, except the keys, since other users can read a command line."""
    options = {parameter.name: parameter.opts for parameter in SERVE.params if parameter.name != "help"}
    names = [name for name in Settings.model_fields if not is_secret(name)]
    assert options == {name: [f"--{name.replace('_', '-')}"] for name in names}


def test_every_option_has_a_help() -> None:
    """The help of each option is the description of its setting."""
    for parameter in SERVE.params:
        assert parameter.help == Settings.model_fields[parameter.name].description


def test_the_help_shows_the_defaults() -> None:
    """The help shows the default values."""
    shown = {parameter.name: parameter.show_default for parameter in SERVE.params}
    assert (shown["port"], shown["host"], shown["sessions"]) == ("8000", "127.0.0.1", "close")
    assert re.search(r"default: \(?8000", run("serve", "--help").output)


def test_options_become_settings(served: list[Settings], tmp_path: Path) -> None:
    """The options of the command line are the settings of the server."""
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


def test_only_given_options_are_processed() -> None:
    """The options that are not in the command line are not looked at: a validator of each takes time at every start."""
    context = imported("serve").make_context("serve", ["--port", "8123"])
    assert context.params == {"port": 8123}


def test_missing_options_leave_the_environment(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over its variable, and a missing option leaves the variable valid."""
    monkeypatch.setenv("CHARHOST_PORT", "8123")
    monkeypatch.setenv("CHARHOST_SESSIONS", "keep")
    run("serve", "--port", "9000")
    assert (served[0].port, served[0].sessions) == (9000, "keep")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port", "99999"], "charhost: port (--port, CHARHOST_PORT): Input should be less than"),
        (["--sessions", "x"], "charhost: sessions (--sessions, CHARHOST_SESSIONS): Input should be 'close'"),
        (["--host", "0.0.0.0"], "charhost: listening on 0.0.0.0 lets other machines run code"),
        (["--admin-key-file", "/nowhere"], "charhost: CHARHOST_ADMIN_KEY_FILE (--admin-key-file): [Errno 2] No such"),
        (
            ["--log-file", "/proc/nowhere/log"],
            "charhost: the log file /proc/nowhere/log cannot be opened: No such file",
        ),
    ],
)
def test_bad_settings_exit_with_2(monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str) -> None:
    """Invalid settings end the command with 2, and a line that names the setting."""
    monkeypatch.setattr("charhost.web.serve.serve", lambda settings: pytest.fail("it was served"))
    result = run("serve", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(text)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--port", "http"], ["--admin-key", "s3cret"], ["--colour", "red"], ["extra"]])
def test_wrong_usage_exits_with_2(served: list[Settings], arguments: list[str]) -> None:
    """Unknown options and invalid numbers are refused; no option takes a key."""
    assert run("serve", *arguments).exit_code == 2
    assert served == []


def test_a_failure_to_serve_exits_with_2(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at the start is one line, without a traceback."""

    def serve(settings: Settings) -> None:
        raise SettingsError("cannot listen on 127.0.0.1:8000: Address already in use")

    monkeypatch.setattr("charhost.web.serve.serve", serve)
    result = run("serve")
    assert (result.exit_code, result.stderr) == (
        2,
        "charhost: cannot listen on 127.0.0.1:8000: Address already in use\n",
    )


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A server on a port in use ends with 2, and a line with the address and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "charhost", "serve", "--directory", str(tmp_path), "--port", port]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    text = f"charhost: cannot listen on 127.0.0.1:{port}: the address is in use; choose another with --port"
    assert result.stderr.splitlines()[-1] == text
    assert "Traceback" not in result.stderr


def test_help_groups_the_options_of_serve() -> None:
    """`charhost serve --help` shows each option in the group of its setting."""
    groups = {name: group for group, names in settings_by_group().items() for name in names}
    panels = {option.name: option.rich_help_panel for option in SERVE.params if option.name != "help"}
    assert panels == {name: group for name, group in groups.items() if not is_secret(name)}
    shown = run("serve", "--help").output
    assert [group for group in settings_by_group() if f"─ {group} ─" not in shown] == []
