"""The settings, and the errors of unusable ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from charhost.cli import app
from charhost.errors import SettingsError
from charhost.settings import (
    Settings,
    default_directory,
    is_loopback,
    is_secret,
    settings_by_group,
)
from tests.settings.helpers import refusal


def test_nothing_needs_to_be_set() -> None:
    """Without any setting the default characters are served to this machine only."""
    settings = Settings()
    assert (settings.host, settings.port, settings.directory) == ("127.0.0.1", 8000, default_directory())
    assert (settings.admin_key, settings.sessions, settings.log_file) == (None, "close", None)


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


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option beats its variable."""
    monkeypatch.setenv("CHARHOST_PORT", "8123")
    assert Settings(port=9000).port == 9000


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing leaves the default."""
    monkeypatch.setenv("CHARHOST_PORT", "")
    assert Settings().port == 8000


def test_a_key_that_did_not_arrive_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is an error, because without a key every local caller would be an admin."""
    monkeypatch.setenv("CHARHOST_ADMIN_KEY", "")
    with pytest.raises(SettingsError, match="CHARHOST_ADMIN_KEY is empty"):
        Settings()


def test_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Relative paths, and those from a home directory, are made absolute at the start."""
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


def test_a_key_allows_other_addresses() -> None:
    """With a key the server may listen for other machines."""
    assert Settings(host="0.0.0.0", admin_key="k").host == "0.0.0.0"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "", "127.0.0.1.example.com"])
def test_other_addresses_need_a_key(host: str) -> None:
    """Without a key the server does not listen for other machines; the error names the variable to set."""
    message = refusal(host=host)
    assert message.startswith(f"listening on {host} lets other machines run code through a reload")
    assert message.endswith("set CHARHOST_ADMIN_KEY, or listen on 127.0.0.1")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback_needs_no_key(host: str) -> None:
    """Every way to write this machine's own address does without a key."""
    assert is_loopback(host)
    assert Settings(host=host).admin_key is None


def test_the_key_is_not_shown() -> None:
    """Neither printed settings nor an error have the key."""
    assert "s3cret" not in repr(Settings(admin_key="s3cret"))
    assert "7341" not in refusal(admin_key=7341)


@pytest.mark.parametrize(
    ("text", "keys"), [(None, ()), ("one", ("one",)), ("one,two", ("one", "two")), (" one , ,two, ", ("one", "two"))]
)
def test_several_api_keys(text: str | None, keys: tuple[str, ...]) -> None:
    """API keys are separated by commas; spaces and empty parts do not count."""
    assert Settings(api_key=text).api_keys == keys


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_empty_api_keys_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Commas without a key between them would open chat, so they are an error."""
    monkeypatch.setenv("CHARHOST_API_KEY", text)
    with pytest.raises(SettingsError, match="CHARHOST_API_KEY is empty; set a key, or unset it"):
        Settings()


def test_secrets_are_known() -> None:
    """All keys are secrets; the path of a certificate's key is not."""
    secrets = {"admin_key", "api_key", "llm_key", "tts_key", "stt_key", "fleet_key"}
    assert {name for name in Settings.model_fields if is_secret(name)} == secrets


@pytest.mark.parametrize("name", ["admin_key", "api_key", "llm_key", "tts_key", "stt_key"])
def test_no_key_is_shown(name: str) -> None:
    """Neither a key nor an invalid value for one is shown."""
    assert "s3cret" not in repr(Settings(**{name: "s3cret"}))
    assert "7341" not in refusal(**{name: 7341})


@pytest.mark.parametrize("given", ["tls_cert", "tls_key"])
def test_half_of_tls(given: str, tmp_path: Path) -> None:
    """A certificate without its key is refused, and the key without it."""
    assert refusal(**{given: tmp_path / "x.pem"}) == "TLS needs both: set CHARHOST_TLS_CERT and CHARHOST_TLS_KEY"


def test_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate and its key are made absolute paths."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(tls_cert="cert.pem", tls_key="key.pem")
    assert (settings.tls_cert, settings.tls_key) == (tmp_path / "cert.pem", tmp_path / "key.pem")


def test_an_unknown_setting_is_named() -> None:
    """A setting that does not exist is an error."""
    assert refusal(colour="red") == "colour: there is no such setting"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", "99999"),
        ("sessions", "leave"),
        ("file_deadline", "0"),
        ("file_deadline", "nan"),
        ("max_files", "0"),
        ("close_grace", "-1"),
        ("shutdown_timeout", "0"),
    ],
)
def test_a_wrong_value_is_named_with_where_to_set_it(setting: str, value: str) -> None:
    """The error names the option, the variable and the value."""
    message = refusal(**{setting: value})
    option = f"--{setting.replace('_', '-')}"
    assert message.startswith(f"{setting} ({option}, CHARHOST_{setting.upper()}): Input should be ")
    assert message.endswith(f", not {value!r}")


@pytest.mark.parametrize(
    ("setting", "expected"), [("port", "expected a whole number"), ("load_deadline", "expected a number")]
)
def test_a_value_that_is_no_number_is_described_plainly(setting: str, expected: str) -> None:
    """The error has the expected type, and not how the text was parsed."""
    where = f"{setting} (--{setting.replace('_', '-')}, CHARHOST_{setting.upper()})"
    assert refusal(**{setting: "abc"}) == f"{where}: {expected}, not 'abc'"


def test_all_errors_are_listed() -> None:
    """Each wrong setting has a line of its own."""
    lines = refusal(port="x", sessions="y", colour="red").splitlines()
    assert sorted(line.split()[0] for line in lines) == ["colour:", "port", "sessions"]


def test_a_set_without_a_file_is_refused(tmp_path: Path) -> None:
    """The last set can only be resumed from a file in which it is kept."""
    assert refusal(resume_set=True) == (
        "--resume-set (CHARHOST_RESUME_SET) needs --state FILE (CHARHOST_STATE): the last set is kept there"
    )
    assert Settings(resume_set=True, state=tmp_path / "state.db").resume_set


def test_a_state_file_without_a_name() -> None:
    """An empty path is not taken for the working directory."""
    assert refusal(state="") == "--state (CHARHOST_STATE) is empty: name a file, or leave it out"


def test_every_setting_belongs_to_a_group() -> None:
    """The groups have all settings, each of them once."""
    groups = settings_by_group()
    assert sorted(name for names in groups.values() for name in names) == sorted(Settings.model_fields)
    assert all(groups.values())
    assert groups["Watching"] == ["watch", "watch_quiet", "watch_interval", "watch_poll"]


@pytest.mark.parametrize(
    ("keys", "variables"),
    [
        ({}, []),
        ({"admin_key": "k" * 16, "api_key": f"{'a' * 16},{'b' * 20}", "llm_key": "short"}, []),
        ({"admin_key": "k" * 15}, ["CHARHOST_ADMIN_KEY"]),
        ({"admin_key": "k" * 15, "api_key": f"{'a' * 16},{'b' * 15}"}, ["CHARHOST_ADMIN_KEY", "CHARHOST_API_KEY"]),
    ],
)
def test_a_short_key_is_warned_about(keys: dict[str, str], variables: list[str]) -> None:
    """A key that callers send must have 16 characters, or a warning names its variable; one of a model need not."""
    assert list(Settings(**keys).warnings()) == [
        f"{variable} has a key of fewer than 16 characters, which may be guessed" for variable in variables
    ]


def test_a_short_key_is_not_in_its_warning() -> None:
    """The warning about a short key has no part of it, since it is logged."""
    assert "s3cret" not in "".join(Settings(admin_key="s3cret").warnings())


@pytest.mark.parametrize("option", ["--prot", "--wrong-keys", "--wrong-key-interval"])
def test_an_unknown_option_is_an_error(option: str) -> None:
    """An option that does not exist, or not any more, ends the command with 2."""
    result = CliRunner().invoke(app, ["serve", option, "3"])
    assert (result.exit_code, "No such option" in result.output) == (2, True)
