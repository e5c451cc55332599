"""The variables of the settings, and files with keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.errors import SettingsError
from charhost.settings import (
    Settings,
    key_from_environment,
)
from tests.settings.helpers import refusal


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


def test_key_of_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that a character file names is read at each call."""
    monkeypatch.delenv("ADAS_KEY", raising=False)
    assert key_from_environment("ADAS_KEY") is None
    monkeypatch.setenv("ADAS_KEY", "s3cret")
    assert key_from_environment("ADAS_KEY") == "s3cret"


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
