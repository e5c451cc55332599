"""The settings, and the errors of unusable ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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
    key_from_environment,
    settings_by_group,
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of this machine."""
    for variable in [name for name in os.environ if name.startswith("CHARHOST_")]:
        monkeypatch.delenv(variable)


def refusal(**values: Any) -> str:
    """Return the error of settings that are refused."""
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
    """In a checkout that is not installed, it is the directory beside the package."""
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


# Keys


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


def test_a_key_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`CHARHOST_ADMIN_KEY_FILE` names a file that holds the key, with or without a line break behind it."""
    (tmp_path / "key").write_text("s3cret\n")
    monkeypatch.setenv("CHARHOST_ADMIN_KEY_FILE", str(tmp_path / "key"))
    key = Settings().admin_key
    assert key is not None
    assert key.get_secret_value() == "s3cret"


def test_the_key_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    """Lines below the key are not part of it, as in `scripts/reload_characters.py`."""
    (tmp_path / "key").write_text("s3cret\n# a note\n")
    key = Settings(admin_key_file=tmp_path / "key").admin_key
    assert key is not None
    assert key.get_secret_value() == "s3cret"


def test_two_keys_are_one_too_many(tmp_path: Path) -> None:
    """A key and a key file together are an error."""
    (tmp_path / "key").write_text("s3cret")
    message = refusal(admin_key="k", admin_key_file=tmp_path / "key")
    assert message == "both CHARHOST_ADMIN_KEY and CHARHOST_ADMIN_KEY_FILE are set; use one"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A key file that is missing or no text is an error that names the variable and the option."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    assert refusal(admin_key_file=tmp_path / "key").startswith("CHARHOST_ADMIN_KEY_FILE (--admin-key-file): ")


@pytest.mark.parametrize("name", ["admin_key", "api_key", "llm_key", "tts_key", "stt_key"])
def test_white_space_around_a_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A variable that was filled from a file with Windows line ends has the key without them."""
    monkeypatch.setenv(f"CHARHOST_{name.upper()}", " s3cret-0123456789\r\n")
    assert getattr(Settings(), name).get_secret_value() == "s3cret-0123456789"


@pytest.mark.parametrize("name", ["admin_key", "api_key", "llm_key", "tts_key", "stt_key"])
def test_key_that_no_header_can_carry(name: str) -> None:
    """A line break inside a key is refused at the start, and the key is not shown."""
    with pytest.raises(SettingsError, match=f"CHARHOST_{name.upper()} holds a line break") as caught:
        Settings(**{name: "s3cret\rkey"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "\n"])
def test_an_empty_key_is_refused(tmp_path: Path, key: str) -> None:
    """An empty key would match requests without a key, so it is an error."""
    (tmp_path / "key").write_text(key)
    assert refusal(admin_key=key) == "CHARHOST_ADMIN_KEY is empty; set a key, or unset it"


@pytest.mark.parametrize("name", ["admin_key", "api_key", "llm_key", "tts_key", "stt_key"])
@pytest.mark.parametrize("content", ["", "  ", "\ns3cret\n"])
def test_a_key_file_without_a_key_is_named(tmp_path: Path, name: str, content: str) -> None:
    """The error names the variable, the option and the file."""
    (tmp_path / "key").write_text(content)
    where = f"CHARHOST_{name.upper()}_FILE (--{name.replace('_', '-')}-file)"
    message = refusal(**{f"{name}_file": tmp_path / "key"})
    assert message == f"{where}: the first line of {tmp_path}/key is empty; write a key there"


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


def test_each_key_may_come_from_a_file(tmp_path: Path) -> None:
    """The API keys and the key of the model may come from a file too."""
    (tmp_path / "key").write_text("one,two\n# a note\n")
    settings = Settings(api_key_file=tmp_path / "key", llm_key_file=tmp_path / "key")
    assert settings.api_keys == ("one", "two")
    assert settings.llm_key is not None
    assert settings.llm_key.get_secret_value() == "one,two"


@pytest.mark.parametrize("name", ["admin", "api", "llm", "tts", "stt"])
def test_key_files_that_contradict_a_key(tmp_path: Path, name: str) -> None:
    """Each key is given once."""
    (tmp_path / "key").write_text("s3cret")
    variable = f"CHARHOST_{name.upper()}_KEY"
    message = refusal(**{f"{name}_key": "k", f"{name}_key_file": tmp_path / "key"})
    assert message == f"both {variable} and {variable}_FILE are set; use one"


def test_secrets_are_known() -> None:
    """All keys are secrets; the path of a certificate's key is not."""
    secrets = {"admin_key", "api_key", "llm_key", "tts_key", "stt_key", "fleet_key"}
    assert {name for name in Settings.model_fields if is_secret(name)} == secrets


@pytest.mark.parametrize("name", ["admin_key", "api_key", "llm_key", "tts_key", "stt_key"])
def test_no_key_is_shown(name: str) -> None:
    """Neither a key nor an invalid value for one is shown."""
    assert "s3cret" not in repr(Settings(**{name: "s3cret"}))
    assert "7341" not in refusal(**{name: 7341})


def test_key_of_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that a character file names is read at each call."""
    monkeypatch.delenv("ADAS_KEY", raising=False)
    assert key_from_environment("ADAS_KEY") is None
    monkeypatch.setenv("ADAS_KEY", "s3cret")
    assert key_from_environment("ADAS_KEY") == "s3cret"


# The model, and TLS


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("https://example.org/v1//", "https://example.org/v1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTP://example.org", "HTTP://example.org"),
    ],
)
def test_address_of_the_model(url: str, kept: str) -> None:
    """A model is found over http or https; slashes at the end of its address do not count."""
    assert Settings(llm_url=url).llm_url == kept


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org", "example.org/v1", "localhost:11434", "http://", "http:///v1", "http://[::1", "file:///"],
)
def test_address_that_is_none(url: str) -> None:
    """Any other address is an error with an example."""
    message = refusal(llm_url=url)
    assert message.startswith("llm_url (--llm-url, CHARHOST_LLM_URL): ")
    assert "Value error" not in message
    assert "such as http://127.0.0.1:11434/v1" in message or "Invalid IPv6 URL" in message


@pytest.mark.parametrize("user", ["me:s3cret", ":s3cret", "s3cret"])
def test_key_in_the_address_of_the_model(user: str) -> None:
    """A key in the address would show in logs: it is refused."""
    assert "a URL must not hold a key: set CHARHOST_LLM_KEY" in refusal(llm_url=f"https://{user}@example.org/v1")


def test_key_in_the_address_is_not_shown() -> None:
    """The error of such an address does not show the key."""
    assert "s3cret" not in refusal(llm_url="https://me:s3cret@example.org/v1")


@pytest.mark.parametrize(
    "origins",
    [
        *("*", "https://a.example", "http://localhost:3000, https://b.example:8443/", None),
        *("null", "file://", "app://obsidian.md,tauri://localhost", "vscode-webview://*"),
    ],
)
def test_origins(origins: str | None) -> None:
    """Origins consist of scheme, host and port; `*` is all, also all of one desktop application."""
    assert Settings(cors_origin=origins).cors_origin == origins


def test_roots_are_separated_as_paths_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several directories with colons, from the environment too; a home directory may be spelled with a tilde."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("CHARHOST_ALLOWED_ROOTS", "/srv/a:~/b")
    assert Settings().roots == (Path("/srv/a"), Path("/home/me/b"))
    assert Settings(allowed_roots="/c").roots == (Path("/c"),)
    monkeypatch.delenv("CHARHOST_ALLOWED_ROOTS")
    assert Settings().roots == ()


@pytest.mark.parametrize("name", ["directory", "state", "log_file"])
def test_an_unknown_home_directory_is_refused(name: str) -> None:
    """A user without an entry in passwd and without HOME has none either."""
    assert "~ has no meaning here" in refusal(**{name: "~nobody-of-that-name/x"})


@pytest.mark.parametrize("roots", ["", ":", "/srv:", "characters", "/srv:characters", "~nobody-of-that-name/x"])
def test_roots_that_are_no_paths(roots: str) -> None:
    """An empty or relative root is an error, rather than the working directory or all directories."""
    assert "expected absolute paths with : between them" in refusal(allowed_roots=roots)


def test_roots_that_are_empty_are_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable would open every directory, so it is refused."""
    monkeypatch.setenv("CHARHOST_ALLOWED_ROOTS", "")
    assert "CHARHOST_ALLOWED_ROOTS is empty" in refusal()


@pytest.mark.parametrize(
    "origins",
    ["a.example", "https://a.example/x", "https://a.example,", "ftp://a", "ws://a", "https://", "https://*", ","],
)
def test_origins_that_no_browser_sends(origins: str) -> None:
    """An origin that could never match is an error."""
    assert "expected origins such as https://chat.example.com, or *" in refusal(cors_origin=origins)


@pytest.mark.parametrize("hosts", ["https://a.example", "a.example:8000", "a.example,", ""])
def test_hosts_that_are_no_names(hosts: str) -> None:
    """A name that could never match a `Host` is an error."""
    assert "expected names such as chat.example.com, without a port, or *" in refusal(allowed_hosts=hosts)


@pytest.mark.parametrize("given", ["tls_cert", "tls_key"])
def test_half_of_tls(given: str, tmp_path: Path) -> None:
    """A certificate without its key is refused, and the key without it."""
    assert refusal(**{given: tmp_path / "x.pem"}) == "TLS needs both: set CHARHOST_TLS_CERT and CHARHOST_TLS_KEY"


def test_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate and its key are made absolute paths."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(tls_cert="cert.pem", tls_key="key.pem")
    assert (settings.tls_cert, settings.tls_key) == (tmp_path / "cert.pem", tmp_path / "key.pem")


# Errors


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


# Warnings


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


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("CHARHOST_PROT", "; did you mean CHARHOST_PORT?"),
        ("CHARHOST_MAX_SESSION", "; did you mean CHARHOST_MAX_SESSIONS?"),
        ("charhost_prot", "; did you mean CHARHOST_PORT?"),
        ("CHARHOST_ZZZZ_QQQQ", ""),
    ],
)
def test_an_unknown_variable_is_one_warning(monkeypatch: pytest.MonkeyPatch, variable: str, hint: str) -> None:
    """A variable that is no setting does not stop the server; its warning has the nearest name, if one is near."""
    monkeypatch.setenv(variable, "1")
    assert list(Settings().warnings()) == [f"{variable} is not a setting and has no effect{hint}"]


@pytest.mark.parametrize("variable", ["CHARHOST_WRONG_KEYS", "CHARHOST_WRONG_KEY_INTERVAL"])
def test_a_removed_setting_is_no_longer_used(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """A server that is upgraded starts with the variables of the version before, whatever their values."""
    monkeypatch.setenv(variable, "no number")
    assert list(Settings().warnings()) == [f"{variable} is no longer used; unset it"]


def test_known_variables_are_not_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the variable of a setting, in any case, nor variables of other programs bring a warning."""
    for variable in ("CHARHOST_PORT", "charhost_max_sessions", "CHARHOSTESS"):
        monkeypatch.setenv(variable, "8000")
    assert list(Settings().warnings()) == []


@pytest.mark.parametrize("option", ["--prot", "--wrong-keys", "--wrong-key-interval"])
def test_an_unknown_option_is_an_error(option: str) -> None:
    """An option that does not exist, or not any more, ends the command with 2."""
    result = CliRunner().invoke(app, ["serve", option, "3"])
    assert (result.exit_code, "No such option" in result.output) == (2, True)
