"""A server with scripted engines, and a client of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from charhost.settings import Settings
from charhost.speech.embedded.sound_files import SoundFiles
from charhost.web.app import create_app
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, scripted_engines

Connect = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.fixture
def connect(aiohttp_client: Connect, directory: Path) -> Connect:
    """Return a client of a server with these engines, and with more settings."""

    async def made(
        speech: ScriptedSpeech | None = None, hearing: ScriptedHearing | None = None, **more: Any
    ) -> TestClient[Any, Any]:
        files = SoundFiles()
        engines = replace(scripted_engines(speech, hearing), files=files, owned=(files,))
        return await aiohttp_client(create_app(Settings(directory=directory, llm_url="none", **more), engines))

    return made
