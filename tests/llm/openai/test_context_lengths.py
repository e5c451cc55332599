"""ContextLengths: the length in force as the servers of several makers report it, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from charhost.character.character import ModelChoice
from charhost.llm.openai.provider import UpstreamModels
from charhost.settings import Settings

Bodies = dict[str, Any]

VLLM = {"/v1/models": {"data": [{"id": "small", "max_model_len": 4096}, {"id": "big", "max_model_len": 8192}]}}
LLAMA_CPP = {
    "/v1/models": {"data": [{"id": "big", "meta": {"n_ctx_train": 131072}}]},
    "/props": {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 2},
}
OLLAMA = {
    "/v1/models": {"data": [{"id": "big"}]},
    "/api/ps": {"models": [{"name": "big:latest", "model": "big:latest", "context_length": 4096}]},
}
OLLAMA_UNLOADED = {
    "/api/ps": {"models": []},
    "/api/show": {"parameters": 'stop "<|im_end|>"\nnum_ctx   16384', "model_info": {"llama.context_length": 131072}},
}


class Server:
    """A server with JSON at some paths; `asked` are the paths of its requests."""

    def __init__(self, bodies: Mapping[str, Any]) -> None:
        self.bodies = dict(bodies)
        self.asked: list[str] = []
        self.url = ""
        self.silent = False

    async def respond(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.silent:
            await asyncio.Event().wait()
        if request.path not in self.bodies:
            return web.json_response({"error": "not found"}, status=404)
        return web.json_response(self.bodies[request.path])


@asynccontextmanager
async def serving(bodies: Mapping[str, Any]) -> AsyncIterator[Server]:
    server = Server(bodies)
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", server.respond)])
    async with TestServer(app) as listening:
        server.url = str(listening.make_url("/v1"))
        yield server


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., UpstreamModels]]:
    """Makes models from settings."""
    made = []

    def make(server: Server, **more: Any) -> UpstreamModels:
        made.append(UpstreamModels(Settings(**({"llm_url": server.url, "llm_model": "big"} | more))))
        return made[-1]

    yield make
    for models in made:
        await models.close()


def character(**choice: Any) -> Any:
    return SimpleNamespace(name="Ada", llm=ModelChoice(**choice))


async def length(models: UpstreamModels, **choice: Any) -> int | None:
    return await models.of(character(**choice)).context_length()


Make = Callable[..., UpstreamModels]


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [(VLLM, 8192), (LLAMA_CPP, 2048), (OLLAMA, 4096), (OLLAMA_UNLOADED, 16384), ({}, None)],
    ids=["vLLM", "llama.cpp", "Ollama", "Ollama before it loads the model", "others"],
)
async def test_length_in_force(bodies: Bodies, expected: int | None, make: Make) -> None:
    """The length in force is what the server runs the model with, not what the model could have."""
    async with serving(bodies) as server:
        assert await length(make(server)) == expected


async def test_length_of_a_characters_model(make: Make) -> None:
    """A character with a model of its own has the length of that model."""
    async with serving(VLLM) as server:
        assert await length(make(server), model="small") == 4096


async def test_length_is_remembered(make: Make) -> None:
    """A server is not asked at each turn, whether it reports a length or not."""
    for bodies in (VLLM, {}):
        async with serving(bodies) as server:
            models = make(server)
            first = await length(models)
            asked = len(server.asked)
            assert await length(models) == first
            assert len(server.asked) == asked


async def test_model_that_is_not_loaded_yet(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama is asked again soon if it has not loaded the model."""
    monkeypatch.setattr("charhost.llm.openai.context_lengths._SECONDS_UNKNOWN", 0)
    async with serving({"/api/ps": {"models": []}}) as server:
        models = make(server)
        assert await length(models) is None
        server.bodies |= OLLAMA
        assert await length(models) == 4096


async def test_a_silent_server_delays_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not respond is given up, and the next turns do not wait for it."""
    monkeypatch.setattr("charhost.llm.openai.provider._LENGTH_SECONDS", 0.1)
    async with serving(VLLM) as server:
        server.silent = True
        models = make(server)
        assert await length(models) is None
        asked = len(server.asked)
        assert await length(models) is None
        assert len(server.asked) == asked


@pytest.mark.parametrize(
    "bodies",
    [
        {"/v1/models": [], "/props": "no", "/api/ps": []},
        {"/v1/models": {"data": [7]}, "/props": {"default_generation_settings": 7}, "/api/ps": {"models": 7}},
        {"/v1/models": {"data": [{"id": "big", "max_model_len": "8k"}]}, "/api/ps": {"models": [{"name": "big"}]}},
        {"/props": {"default_generation_settings": {"n_ctx": 0}}},
    ],
)
async def test_other_answers_are_no_length(bodies: Bodies, make: Make) -> None:
    """Unexpected JSON leaves the length unknown."""
    async with serving(bodies) as server:
        assert await length(make(server)) is None


async def test_without_a_server(make: Make) -> None:
    """A server that is not there has no length."""
    async with serving({}) as server:
        pass
    assert await length(make(server)) is None


async def test_characters_of_one_model_ask_together(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of characters asks once for each model, also where nothing is remembered, and keeps its order."""
    monkeypatch.setattr("charhost.llm.openai.context_lengths._SECONDS_UNKNOWN", 0)
    async with serving({"/api/ps": {"models": []}}) as server:
        models = make(server)
        await length(models)
        asked = len(server.asked)
        assert await models.context_lengths([character() for _ in range(20)]) == [None] * 20
        assert len(server.asked) == 2 * asked
        server.bodies |= VLLM
        assert await models.context_lengths([character(), character(model="small"), character()]) == [8192, 4096, 8192]


async def test_the_stand_in_has_no_length(make: Make) -> None:
    """Without a server nothing is asked, but for the characters that name one."""
    async with serving(VLLM) as server:
        models = make(server, llm_url="none")
        own = character(url=server.url, model="small")
        assert await models.context_lengths([character(), own]) == [None, 4096]
