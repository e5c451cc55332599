"""Unmodified clients that speak, each in an environment of its own: they ask by voice, and interrupt the answer."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from tests.e2e.environments import python_with
from tests.e2e.programs.kinds import LIVEKIT, PIPECAT
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, scripted_engines
from tests.web.realtime.openai_client import Script

pytestmark = pytest.mark.slow

StartServer = Callable[..., Awaitable[TestServer]]

ROOT = Path(__file__).parents[2]
LIMIT = 300.0  # seconds, of which the first include the imports
TEXT = "It is late, my friend, and it is cold, so that I would like to go home now. "


@pytest.fixture
def script() -> Script:
    """The model of all characters: a long answer, of which the end is not reached, and then short ones."""
    script = Script()
    return script.then(TEXT, script.go)


@pytest.fixture
async def url(aiohttp_server: StartServer, directory: Path, script: Script) -> str:
    """The address of a server with Ada, who speaks slowly."""
    engines = scripted_engines(ScriptedSpeech(100), ScriptedHearing({500: "Yes.", 1_000: "What time is it?"}))
    app = create_app(Settings(directory=directory), engines)
    app[CONVERSATIONS].models = script
    return str((await aiohttp_server(app)).make_url("/"))[:-1]


async def lines_of(home: Path, *command: str) -> list[Any]:
    """Return what a program reports until its end."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment = kept | {"HOME": str(home), "OPENAI_API_KEY": "unused", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    except TimeoutError:
        process.kill()
        out, errors = await process.communicate()
    assert process.returncode == 0, (out.decode(), errors.decode()[-3_000:])
    return [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]


def check(lines: list[Any], script: Script) -> None:
    """Check what was heard and said on both sides."""
    asked, stopped = lines
    assert asked["heard"] == "What time is it?"
    assert asked["sound"] > 0
    assert (stopped["heard"], stopped["said"]) == ("Yes.", "Yes.")
    said = [m["content"] for m in script.messages if m["role"] == "user"]
    assert said == ["What time is it?", "Yes."]
    # Pipecat has the character speak first, and the question interrupts it.
    answers = [m["content"] for m in script.messages if m["role"] == "assistant" and m["content"] != "Yes."]
    assert all(TEXT.startswith(heard) and len(heard) < len(TEXT) / 2 for heard in answers)


@pytest.mark.parametrize(("name", "packages"), [("livekit", LIVEKIT), ("pipecat", PIPECAT)])
async def test_python(url: str, script: Script, tmp_path: Path, name: str, packages: tuple[str, ...]) -> None:
    """The realtime plugins of LiveKit and Pipecat are understood, answered, and interrupt."""
    python = await asyncio.to_thread(python_with, *packages)
    check(await lines_of(tmp_path, str(python), "-m", f"tests.e2e.programs.speaks_with_{name}", url), script)


async def test_agents_for_javascript(url: str, script: Script, packages: Path, tmp_path: Path) -> None:
    """An agent of OpenAI's for JavaScript is understood, answered, and interrupts."""
    (tmp_path / "node_modules").symlink_to(packages)
    shutil.copy(Path(__file__).parent / "node" / "speaking_agent.mjs", tmp_path)
    address = f"{url.replace('http', 'ws', 1)}/v1/realtime?model=Ada"
    check(await lines_of(tmp_path, "node", str(tmp_path / "speaking_agent.mjs"), address), script)
