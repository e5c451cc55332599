"""The engines of the application: the health, and the voices in the catalog."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.speech.openai.audio_server import AudioServer

AiohttpClient = Callable[..., Awaitable[TestClient[Any, Any]]]


async def test_without_engines_nothing_of_them_is_shown(aiohttp_client: AiohttpClient, directory: Path) -> None:
    """The catalog has no voices, and the health says that nobody speaks or listens."""
    client = await aiohttp_client(create_app(Settings(directory=directory)))
    catalog = await (await client.get("/v1/characters")).json()
    assert all("voice" not in entry for entry in catalog["characters"])
    health = await (await client.get("/v1/health")).json()
    assert [health[name] for name in ("tts_up", "stt_up", "voice_cloning_up")] == [False, False, False]


async def test_engines_of_the_settings(aiohttp_client: AiohttpClient, directory: Path, caplog: Any) -> None:
    """The catalog has the voice of each character, the log each that is another one, and the metrics their number."""
    async with AudioServer(listed={"voices": ["coral"]}).running() as server:
        client = await aiohttp_client(create_app(Settings(directory=directory, tts=server.url, llm_url="none")))
        entry = await (await client.get("/v1/characters/Ada")).json()
        assert entry["voice"]["backend"] == "openai"
        assert (entry["voice"]["name"], entry["voice"]["exact"]) == ("coral", False)
        assert entry["voice"]["why"].startswith("openai has no voice for ")
        health = await (await client.get("/v1/health")).json()
        assert (health["tts_up"], health["stt_up"]) == (True, False)
        await client.post("/v1/characters/reload", json={"directory": str(directory)})
        async with asyncio.timeout(30):
            while "charhost_voices_unmapped 1.0" not in await (await client.get("/metrics")).text():
                await asyncio.sleep(0.02)
    assert "Ada: openai has no voice for" in caplog.text
