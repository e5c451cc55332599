"""The README's clients, run as they stand there."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ENVIRONMENT, PATIENCE, Server, needs_curl, output, running

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
    assert re.findall(r"<!-- run: (.*) -->", README) == ["curl", "python", "javascript", "resume"]


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


RELOAD = ("curl", "-sS", "--noproxy", "*", "-XPOST", "-HContent-Type: application/json")


async def heard(process: asyncio.subprocess.Process, word: str, said: str = "") -> str:
    """Read what a program prints until it has said that; answers what it has said after it."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while word not in said:
            piece = await process.stdout.read(1 << 16)
            assert piece, (said, await process.stderr.read() if process.stderr else "")
            said += piece.decode()
    return said.partition(word)[2]


@needs_curl
async def test_resume(here: Server) -> None:
    """The client speaks, is closed by a reload, comes back and speaks again, and ends when its character is gone."""
    pipe = asyncio.subprocess.PIPE
    environment = ENVIRONMENT | {"no_proxy": "*"}
    command = (sys.executable, "-uc", block("resume", here))
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    try:
        said = await heard(process, NOTICE)
        for _ in range(2):
            await output(*RELOAD, "-d{}", f"{here.url}/v1/characters/reload")
            said = await heard(process, "Please reconnect.)", said)
            said = await heard(process, " ", said)  # the stand-in makes itself known once in a conversation
            assert NOTICE not in said
        (here.directory / "charlotte.py").unlink()
        await output(*RELOAD, '-d{"sessions": "close_affected"}', f"{here.url}/v1/characters/reload")
        await heard(process, "(The character 'Charlotte' is gone", said)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
