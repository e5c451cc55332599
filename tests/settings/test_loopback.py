"""The addresses of this machine itself."""

from __future__ import annotations

import pytest

from charhost.settings.loopback import is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_addresses_of_this_machine(host: str) -> None:
    """Every way to write this machine's own address is known."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "localhost.example", "127.0.0.1.example", "10.0.0.1"])
def test_other_addresses(host: str) -> None:
    """All addresses of a machine, and names that only look alike, are not loopback."""
    assert not is_loopback(host)
