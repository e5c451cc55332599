"""A server without engines: it loads nothing that is for speech."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_SERVE = """
import asyncio, json, sys
from aiohttp.test_utils import TestClient, TestServer
from charhost.settings import Settings
from charhost.web.app import create_app

async def converse():
    async with TestClient(TestServer(create_app(Settings(directory=sys.argv[1], llm_url="none")))) as client:
        async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
            await ws.send_json({"type": "input_audio_buffer.append", "audio": "AAAA"})
            await ws.send_json({"type": "response.create", "response": {"output_modalities": ["audio"]}})
            while (await ws.receive_json(timeout=60))["type"] != "response.done":
                pass

asyncio.run(converse())
print(json.dumps(sorted(sys.modules)))
"""
_FOREIGN = {"numpy", "soxr", "onnxruntime", "sphn", "msgpack", "av", "faster_whisper", "ctranslate2", "piper"}
_OWN = {"ears", "vad", "formats", "clauses", "embedded", "openai", "kyutai", "voices"}


def test_nothing_is_imported(directory: Path) -> None:
    """A conversation imports neither the packages of the extra nor what uses them."""
    done = subprocess.run([sys.executable, "-c", _SERVE, directory], capture_output=True, text=True, timeout=120)
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert modules & _FOREIGN == set()
    assert {name for name in modules if name.startswith("charhost.speech.") and name.split(".")[2] in _OWN} == set()
