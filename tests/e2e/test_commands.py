"""The commands as people use them: processes, and a real server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.conftest import character
from tests.e2e.conftest import BlockingServer, output, running

CHARHOST = (sys.executable, "-m", "charhost")


async def test_reload_and_status(own_server: BlockingServer) -> None:
    """A reload with a failed file is printed with its line, and so is the status afterwards."""
    (own_server.directory / "bob.py").write_text("X = 1\n1 / 0")
    status, out, err = await output(*CHARHOST, "reload", str(own_server.directory), "--url", own_server.url)
    assert (status, "Loaded: 2/3 characters" in out, err) == (0, True, "")
    status, out, err = await output(*CHARHOST, "status", "--url", own_server.url)
    assert (status, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert ["generation", "2"] in lines
    assert "bob.py:2: ZeroDivisionError: division by zero" in out


async def test_every_option_of_reload_is_accepted(server: BlockingServer) -> None:
    """The real server accepts every option of the command."""
    options = ["--scope", "changed", "--sessions", "follow", "--drain", "1", "--on-error", "keep", "--dry-run"]
    more = ["--no-check-isolated", "--reason", "to see", "--json"]
    status, out, err = await output(*CHARHOST, "reload", "default", *options, *more, "--url", server.url)
    report = json.loads(out)
    assert (status, err, report["outcome"], report["reason"]) == (0, "", "unchanged", "to see")


async def test_refused_reload_ends_with_1(server: BlockingServer, tmp_path: Path) -> None:
    """A refusal is printed with the server's message."""
    status, out, err = await output(*CHARHOST, "reload", str(tmp_path / "nowhere"), "--url", server.url)
    assert (status, out) == (1, "")
    assert f"Directory not found: {tmp_path}/nowhere" in err


async def test_the_key_is_accepted(directory: Path, tmp_path: Path) -> None:
    """With an admin key the commands need it."""
    (tmp_path / "key").write_text("right-key")
    async with running(directory, "--admin-key-file", str(tmp_path / "key")) as guarded:
        for key, status in (("right-key", 0), ("wrong-key", 4)):
            found, _, err = await output(*CHARHOST, "status", "--url", guarded.url, CHARHOST_ADMIN_KEY=key)
            assert (found, key in err) == (status, False)


async def test_the_output_is_not_read(own_server: BlockingServer) -> None:
    """A closed pipe does not change the exit status."""
    (own_server.directory / "eve.py").write_text(character("Eve"))
    command = f"{' '.join(CHARHOST)} reload --url {own_server.url}"
    status, out, err = await output("bash", "-c", f"({command}; echo $? >&2) | true")
    assert (status, out, err) == (0, "", "0\n")
