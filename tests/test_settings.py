"""What an operator can set, and what is said when it cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from charhost.errors import SettingsError
from charhost.settings import Settings, default_directory, is_loopback


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set is out of sight."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CHARHOST_{name.upper()}", raising=False)


def refusal(**values: Any) -> str:
    """What is said to settings that cannot work."""
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    return str(caught.value)


def test_nothing_needs_to_be_set() -> None:
    """Without any setting the default characters are served to this machine only."""
    settings = Settings()
    assert (settings.host, settings.port, settings.directory) == ("127.0.0.1", 8000, default_directory())
    assert (settings.admin_key, settings.sessions, settings.log_file) == (None, "close", None)


def test_the_default_directory_has_the_default_characters() -> None:
    """The characters that come with charhost are found where this checkout keeps them."""
    assert (default_directory() / "charlotte.py").is_file()


def test_the_default_directory_is_found_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from a checkout that was not installed, the directory beside the package is taken."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (default_directory() / "charlotte.py").is_file()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("port", "8123", 8123),
        ("host", "::1", "::1"),
        ("sessions", "keep", "keep"),
        ("character", "Charlotte", "Charlotte"),
        ("file_deadline", "0.5", 0.5),
        ("max_bytes", "1000", 1000),
    ],
)
def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: object) -> None:
    """Each setting is read from `CHARHOST_` and its name."""
    monkeypatch.setenv(f"CHARHOST_{variable.upper()}", value)
    assert getattr(Settings(), variable) == expected


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option beats its variable."""
    monkeypatch.setenv("CHARHOST_PORT", "8123")
    assert Settings(port=9000).port == 9000


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing leaves the default."""
    monkeypatch.setenv("CHARHOST_PORT", "")
    assert Settings().port == 8000


def test_a_key_that_did_not_arrive_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that did not arrive does not open the server to every local caller."""
    monkeypatch.setenv("CHARHOST_ADMIN_KEY", "")
    with pytest.raises(SettingsError, match="CHARHOST_ADMIN_KEY is empty"):
        Settings()


def test_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Relative paths and those from a home directory are settled at the start, whatever the process does later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    settings = Settings(directory="mine", log_file="~/logs/server.log")
    assert (settings.directory, settings.log_file) == (tmp_path / "mine", Path("/home/ada/logs/server.log"))


def test_links_in_a_path_are_kept(tmp_path: Path) -> None:
    """The directory is the path as given: a link may be re-pointed while the server runs."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Settings(directory=tmp_path / "link").directory == tmp_path / "link"


def test_settings_are_frozen() -> None:
    """Nothing changes a setting of a running server."""
    with pytest.raises(ValidationError):
        Settings().port = 1


# Keys


def test_a_key_allows_other_addresses() -> None:
    """With a key the server may listen for other machines."""
    assert Settings(host="0.0.0.0", admin_key="k").host == "0.0.0.0"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "", "127.0.0.1.example.com"])
def test_other_addresses_need_a_key(host: str) -> None:
    """Without a key the server refuses to listen for other machines, and says what to set."""
    said = refusal(host=host)
    assert said.startswith(f"listening on {host} lets other machines run code through a reload")
    assert said.endswith("set CHARHOST_ADMIN_KEY, or listen on 127.0.0.1")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback_needs_no_key(host: str) -> None:
    """Every way to write this machine's own address does without a key."""
    assert is_loopback(host)
    assert Settings(host=host).admin_key is None


def test_a_key_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`CHARHOST_ADMIN_KEY_FILE` names a file that holds the key, with or without a line break behind it."""
    (tmp_path / "key").write_text("s3cret\n")
    monkeypatch.setenv("CHARHOST_ADMIN_KEY_FILE", str(tmp_path / "key"))
    key = Settings().admin_key
    assert key is not None
    assert key.get_secret_value() == "s3cret"


def test_the_key_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    """A note below the key is no part of it: `scripts/reload_characters.py` reads the same file like that."""
    (tmp_path / "key").write_text("s3cret\n# a note\n")
    key = Settings(admin_key_file=tmp_path / "key").admin_key
    assert key is not None
    assert key.get_secret_value() == "s3cret"


def test_two_keys_are_one_too_many(tmp_path: Path) -> None:
    """A key and a key file contradict each other, whichever is right."""
    (tmp_path / "key").write_text("s3cret")
    said = refusal(admin_key="k", admin_key_file=tmp_path / "key")
    assert said == "both CHARHOST_ADMIN_KEY and CHARHOST_ADMIN_KEY_FILE are set; use one"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A key file that is missing or no text is an error that names the variable."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    assert refusal(admin_key_file=tmp_path / "key").startswith("CHARHOST_ADMIN_KEY_FILE: ")


@pytest.mark.parametrize("key", ["", "  ", "\n"])
def test_an_empty_key_is_refused(tmp_path: Path, key: str) -> None:
    """A key of nothing would let everybody in who sends nothing."""
    (tmp_path / "key").write_text(key)
    assert refusal(admin_key=key) == "CHARHOST_ADMIN_KEY is empty; set a key, or unset it"
    assert "is empty" in refusal(admin_key_file=tmp_path / "key")


def test_the_key_is_not_shown() -> None:
    """Settings can be printed without giving the key away, and so can what is said about a wrong one."""
    assert "s3cret" not in repr(Settings(admin_key="s3cret"))
    assert "7341" not in refusal(admin_key=7341)


# What is said


def test_an_unknown_setting_is_named() -> None:
    """A setting that does not exist is refused."""
    assert refusal(colour="red") == "colour: there is no such setting"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", "99999"),
        ("port", "http"),
        ("sessions", "follow"),
        ("file_deadline", "0"),
        ("file_deadline", "nan"),
        ("load_deadline", "soon"),
        ("max_files", "0"),
        ("close_grace", "-1"),
        ("shutdown_timeout", "0"),
    ],
)
def test_a_wrong_value_is_named_with_where_to_set_it(setting: str, value: str) -> None:
    """What is said names the option, the variable and what was found."""
    said = refusal(**{setting: value})
    option = f"--{setting.replace('_', '-')}"
    assert said.startswith(f"{setting} ({option}, CHARHOST_{setting.upper()}): Input should be ")
    assert said.endswith(f", not {value!r}")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """Each wrong setting has a line of its own."""
    lines = refusal(port="x", sessions="y", colour="red").splitlines()
    assert sorted(line.split()[0] for line in lines) == ["colour:", "port", "sessions"]
