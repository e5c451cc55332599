"""The values of settings, and those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.settings import (
    Settings,
    default_directory,
)
from tests.settings.helpers import refusal


def test_the_default_directory_has_the_default_characters() -> None:
    """The characters that come with charhost are found where this checkout keeps them."""
    assert (default_directory() / "charlotte.py").is_file()


def test_the_default_directory_is_found_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is not installed, it is the directory beside the package."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (default_directory() / "charlotte.py").is_file()


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
