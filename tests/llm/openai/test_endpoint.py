"""The address and the key of a model's server are removed from texts."""

from __future__ import annotations

import time

import pytest

from charhost.llm.openai.endpoint import Endpoint

ENDPOINT = Endpoint("https://llm.example.org:8443/v1", "sk-0123456789abcdef")


@pytest.mark.parametrize(
    "text",
    [
        "at https://llm.example.org:8443/v1/chat",
        "LLM.example.org refused",
        "host llm.example.org:8443",
        "on port 8443",
        "127.0.0.1:8443 and 10.0.0.7",
        "from [::1]:8443",
        "key sk-0123456789abcdef",
        "key 'sk-01234'",
        "ends in 89abcdef.",
        "key sk-01***def",
        "Bearer zzzz",
        "another key: sk-proj-aaaabbbb",
    ],
)
def test_scrub(text: str) -> None:
    """Addresses, ports and keys, also parts of them, are taken out."""
    scrubbed = ENDPOINT.scrub(text)
    assert "…" in scrubbed
    assert not any(
        part in scrubbed.lower()
        for part in ("example", "8443", "127.", "10.0", "::", "01234", "89abc", "zzzz", "***", "aaaa")
    )


def test_scrub_keeps_the_rest() -> None:
    """Other text stays, on one line."""
    text = "the request (5000 tokens) exceeds\n the context (4096): see ratio 3.5:1"
    assert ENDPOINT.scrub(text) == " ".join(text.split())


def test_key_is_not_shown() -> None:
    """A key is neither in the repr of an endpoint nor in its host."""
    assert "0123" not in repr(ENDPOINT)
    assert ENDPOINT.host == "llm.example.org:8443"


def test_scrub_key() -> None:
    """For logs only the key is taken out."""
    assert ENDPOINT.scrub_key("llm.example.org: bad sk-0123456789abcdef") == "llm.example.org: bad …"


def test_the_path_of_the_address_is_hidden() -> None:
    """A path that a gateway quotes is removed."""
    endpoint = Endpoint("http://llm.internal:8123/tenant-secret/v1", "k")
    assert "secret" not in endpoint.scrub("no route for POST /Tenant-secret/v1/chat/completions")


def test_the_key_is_hidden_in_any_case() -> None:
    """Some servers write headers in their own way."""
    assert "abcdef" not in Endpoint("http://a/v1", "AbCdEfGhIj").scrub("bad key: ABCDEFGHIJ").lower()


@pytest.mark.parametrize("unit", ["a", "a*", "[:", "http:/", "1.", "**a", "[", "a:"])
def test_scrub_looks_at_each_character_once(unit: str) -> None:
    """A text without spaces costs about as much as one with them; a search from each character would cost seconds."""
    endpoint = Endpoint.of("http://10.0.0.7:8080/v1", "sk-0123456789abcdef")
    started = time.monotonic()
    for _ in range(100):
        endpoint.scrub(unit * 4_096)
    assert time.monotonic() - started < 30
