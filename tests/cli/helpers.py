"""The runner of a command line."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner, Result

from charhost.cli import app
from tests.cli.recording_server import RecordingServer


def run(*arguments: str) -> Result:
    """Run a command line, and return its result."""
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


async def body_of(server: RecordingServer, *arguments: str) -> Any:
    """Run a command, and return the body of its request."""
    result = await server.run(*arguments)
    assert result.exit_code == 0, result.output
    ((_, _, body),) = server.requests
    return body
