"""The obvious design on aiohttp: `importlib` in a thread pool, and sessions closed one after the other."""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from aiohttp import web

_SOCKETS = web.AppKey("sockets", set[web.WebSocketResponse])
_CHARACTERS = web.AppKey("characters", dict[str, ModuleType])


def create_app() -> web.Application:
    app = web.Application()
    app[_SOCKETS] = set()
    app[_CHARACTERS] = {}
    app.add_routes([web.post("/v1/characters/reload", _reload), web.get("/v1/realtime", _realtime)])
    return app


async def _reload(request: web.Request) -> web.Response:
    directory = (await request.json())["directory"]
    characters = request.app[_CHARACTERS]
    for name in [name for name in sys.modules if name.startswith("naive_characters.")]:
        del sys.modules[name]
    characters.clear()
    files = sorted(Path(directory).glob("*.py"))
    for module in await asyncio.gather(*(asyncio.to_thread(_load, file) for file in files)):
        characters[module.CHARACTER_NAME] = module
    await _close_all(request.app[_SOCKETS], directory)
    return web.json_response({"loaded_count": len(characters)})


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"naive_characters.{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def _close_all(sockets: set[web.WebSocketResponse], directory: str) -> None:
    message = f"Characters reloaded from {directory}. Please reconnect."
    for socket in list(sockets):
        await socket.send_str(json.dumps({"type": "error", "error": {"type": "fatal", "message": message}}))
        await socket.close(code=1012, message=f"Characters reloaded from {directory}".encode()[:123])


async def _realtime(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("realtime",))
    await socket.prepare(request)
    request.app[_SOCKETS].add(socket)
    try:
        async for _ in socket:
            pass
    finally:
        request.app[_SOCKETS].discard(socket)
    return socket
