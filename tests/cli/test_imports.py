"""The imports of commands when they start: most of the time to the first answer, and of the memory, is theirs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import free_port

# Runs a command, and prints the names of the modules at its end.
PROGRAM = """
import os, sys
os._exit = sys.exit
sys.argv = ["charhost", *sys.argv[1:]]
from charhost.cli import main
try:
    main()
finally:
    print("modules:", *sys.modules)
"""

# Used by some servers only, or after a request only.
LATER = {
    "_sqlite3",
    "charhost.character.tool_schema",
    "charhost.cli.client",
    "charhost.cli.chat",
    "charhost.llm.offline",
    "charhost.sandbox",
    "charhost.storage",
    "charhost.web.audio",
    "charhost.web.completions",
    "charhost.web.docs.openapi",
    "charhost.web.realtime",
    "charhost.web.responses.handler",
    "jsonschema",
    "markdown_it",
    "pathspec",
    "referencing",
    "rich",
}


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command of charhost."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def modules_in(output: str) -> set[str]:
    """Return the names of the modules that the program has printed."""
    return set(output.rpartition("modules: ")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("status", "--url", "http://127.0.0.1:1")], ids=["help", "status"])
def test_commands_start_without_the_server(arguments: tuple[str, ...]) -> None:
    """The help, and a command that sends one request, import neither the server nor its libraries."""
    with running(*arguments) as process:
        imported = modules_in(process.communicate(timeout=60)[0])
    assert "typer" in imported
    assert imported.isdisjoint({"aiohttp", "asyncio", "charhost.web", "pydantic_settings"})


def test_server_starts_without_the_modules_of_some_requests() -> None:
    """A server that listens has imported no module that only some servers, or some requests, use."""
    with running("serve", "--port", str(free_port()), "--llm-url", "none") as process:
        threading.Timer(60, process.kill).start()
        assert process.stderr is not None
        assert any("listens on" in line for line in process.stderr)
        process.terminate()
        imported = modules_in(process.communicate(timeout=60)[0])
    assert "aiohttp" in imported
    assert imported & LATER == set()
