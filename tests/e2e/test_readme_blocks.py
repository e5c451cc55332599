"""The README's clients, run as they stand there."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, needs_curl, output, running

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
NOTICE = "Offline: no language model is connected"


@pytest.fixture
async def here(characters: Path) -> AsyncIterator[Server]:
    """A server with the default characters, for whom the stand-in answers."""
    async with running(characters) as server:
        yield server


def block(name: str, server: Server) -> str:
    """The block that is marked to be run, with the address of *server*."""
    [found] = re.findall(rf"<!-- run: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert "://127.0.0.1:8000" in found
    return str(found).replace("://127.0.0.1:8000", server.url.removeprefix("http"))


def test_no_block_is_forgotten() -> None:
    """Each block that is marked has its test here."""
    assert re.findall(r"<!-- run: (.*) -->", README) == ["curl", "python", "javascript"]


@needs_curl
async def test_curl(here: Server) -> None:
    """curl prints the answer as a stream of events, to its end."""
    status, said, _ = await output("sh", "-euc", block("curl", here), no_proxy="*")
    assert (status, said.rstrip().endswith("data: [DONE]")) == (0, True)
    assert '"model":"Charlotte"' in said.replace(": ", ":")


async def test_python(here: Server) -> None:
    """OpenAI's SDK prints an answer from the WebSocket, and one from chat completions."""
    status, said, complaint = await output(sys.executable, "-c", block("python", here), no_proxy="*")
    assert (status, complaint, said.count(NOTICE)) == (0, "", 2)


async def test_javascript(here: Server, packages: Path, tmp_path: Path) -> None:
    """OpenAI's agents print an answer, and the program ends by itself."""
    (tmp_path / "node_modules").symlink_to(packages)
    (tmp_path / "talk.mjs").write_text(block("javascript", here))
    status, said, complaint = await output("node", str(tmp_path / "talk.mjs"))
    assert (status, NOTICE in said) == (0, True), complaint
