"""The options that commands share."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from charhost.cli import app
from charhost.cli.client_options import address
from tests.cli.recording_server import PATH_OF


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_address_may_have_its_version(url: str) -> None:
    """An address may end with the version, as OpenAI's clients write it."""
    assert address(url) == "http://h:1"


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x", "http://", "http://me:pw@x", "http://x/?key=1", "http://[1"]
)
def test_invalid_address_is_refused(url: str) -> None:
    """An invalid address, or one with a password or query, is refused and not printed."""
    with pytest.raises(typer.BadParameter, match="expected an address such as") as refused:
        address(url)
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize("command", [*PATH_OF, "chat"])
def test_wrong_address_ends_with_2(command: str) -> None:
    """Every command with an address checks it before a request."""
    assert CliRunner().invoke(app, [command, "--url", "nowhere"]).exit_code == 2
