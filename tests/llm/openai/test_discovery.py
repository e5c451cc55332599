"""Discovery of a model's server on this machine, with servers that are like the real ones on other ports."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic_core import to_json

from charhost.llm.model import ModelError, ModelRequest
from charhost.llm.openai.connections import Connections
from charhost.llm.openai.discovery import USUAL, Discovery, FoundServer, is_trusted
from charhost.llm.openai.provider import UpstreamModels
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.scripted import pieces_of

Serve = Callable[..., Awaitable[TestServer]]

LIMIT = 180.0
OLLAMA, LLAMA_CPP, LM_STUDIO, VLLM = USUAL


def listed(*names: str, owner: str = "library") -> dict[str, Any]:
    """Return OpenAI's list of models."""
    data = [{"id": name, "object": "model", "created": 1, "owned_by": owner} for name in names]
    return {"object": "list", "data": data}


OF_OLLAMA = {
    "/api/version": {"version": "0.12.3"},
    "/v1/models": listed("vectors:latest", "nomic-embed-text:latest", "llama3.2:latest", "qwen3:4b"),
    "/api/tags": {
        "models": [
            {"name": "vectors:latest", "details": {"family": "nomic-bert", "families": ["nomic-bert"]}},
            {"name": "nomic-embed-text:latest", "details": {"family": "other", "families": ["other"]}},
            {"name": "llama3.2:latest", "details": {"family": "llama", "families": ["llama"]}},
            {"name": "qwen3:4b", "details": {"family": "qwen3", "families": None}},
        ]
    },
}
OF_LLAMA_CPP = {
    "/props": {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1, "model_path": "gemma.gguf"},
    "/v1/models": listed("gemma.gguf", owner="llamacpp"),
}
OF_LM_STUDIO = {
    "/api/v0/models": {
        "data": [{"id": "some-vectors", "type": "embeddings"}, {"id": "qwen2.5-7b", "type": "llm", "state": "loaded"}]
    },
    "/v1/models": listed("some-vectors", "qwen2.5-7b"),
}
OF_VLLM = {"/version": {"version": "0.11.0"}, "/v1/models": listed("Qwen/Qwen3-8B", owner="vllm")}


class ModelServer:
    """A server with prepared responses to GET, and a model that repeats its name."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.paths: list[str] = []
        self.app = web.Application()
        self.app.router.add_get("/{path:.*}", self._get)
        self.app.router.add_post("/v1/chat/completions", self._complete)

    async def _get(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        if request.path not in self.found:
            raise web.HTTPNotFound
        return web.json_response(self.found[request.path])

    async def _complete(self, request: web.Request) -> web.Response:
        model = (await request.json())["model"]
        choice = {"index": 0, "delta": {"content": model}, "finish_reason": "stop"}
        chunk = to_json({"id": "x", "object": "chat.completion.chunk", "choices": [choice]})
        return web.Response(body=b"data: " + chunk + b"\n\ndata: [DONE]\n\n", content_type="text/event-stream")


def at(*servers: TestServer, kind: Any = OLLAMA) -> Callable[[Connections], Discovery]:
    """Return what makes a discovery that looks for *kind* at these servers, and again at once."""
    return lambda connections: Discovery(
        connections, [replace(kind, port=server.port) for server in servers], seconds_each=LIMIT, pause=0.05
    )


async def found_at(server: TestServer, kind: Any) -> FoundServer | None:
    """Look once for a kind of server."""
    connections = Connections(LIMIT)
    try:
        return await at(server, kind=kind)(connections).find()
    finally:
        await connections.close()


@pytest.mark.parametrize(
    ("kind", "responses", "models"),
    [
        (OLLAMA, OF_OLLAMA, ["llama3.2:latest", "qwen3:4b"]),
        (LLAMA_CPP, OF_LLAMA_CPP, ["gemma.gguf"]),
        (LM_STUDIO, OF_LM_STUDIO, ["qwen2.5-7b"]),
        (VLLM, OF_VLLM, ["Qwen/Qwen3-8B"]),
    ],
    ids=[kind.name for kind in USUAL],
)
async def test_server_is_found_with_its_models_for_chat(
    kind: Any, responses: dict[str, Any], models: list[str], aiohttp_server: Serve
) -> None:
    """Each program is known by what it reports of itself; models for embeddings are left out."""
    server = await aiohttp_server(ModelServer(responses).app)
    found = await found_at(server, kind)
    assert found is not None
    assert (found.models, found.endpoint.url) == (models, f"http://127.0.0.1:{server.port}/v1")


def test_usual_addresses() -> None:
    """The ports are those that the programs have by default."""
    assert {kind.name: kind.port for kind in USUAL} == {
        "Ollama": 11434,
        "llama.cpp": 8080,
        "LM Studio": 1234,
        "vLLM": 8000,
    }


@pytest.mark.parametrize(
    "responses",
    [
        {},
        {"/v1/models": listed("a")},
        {"/api/version": {"version": "1"}},
        {"/api/version": [], "/v1/models": listed("a")},
        {"/api/version": {"version": "1"}, "/v1/models": 1, "/api/tags": []},
        {"/api/version": {"version": "1"}, "/v1/models": listed("nomic-embed-text"), "/api/tags": {"models": []}},
        {"/api/version": {"version": "1"}, "/v1/models": listed("Ada", owner="charhost"), "/api/tags": {"models": []}},
    ],
    ids=["nothing", "no name", "no list", "no object", "no models", "no chat", "charhost"],
)
async def test_other_server_is_not_taken(responses: dict[str, Any], aiohttp_server: Serve) -> None:
    """A server that does not report what it is, has no model to chat with, or is a charhost, is not taken."""
    assert await found_at(await aiohttp_server(ModelServer(responses).app), OLLAMA) is None


@pytest.mark.parametrize("kind", USUAL, ids=[kind.name for kind in USUAL])
async def test_charhost_is_not_taken(kind: Any, aiohttp_server: Serve, settings: Settings) -> None:
    """A real charhost at a usual address is never asked."""
    assert await found_at(await aiohttp_server(create_app(settings)), kind) is None


async def test_silent_server_is_not_waited_for() -> None:
    """A server that accepts and does not respond delays the others by the limit only."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connections = Connections(LIMIT)
        kind = replace(OLLAMA, port=silent.getsockname()[1])
        async with asyncio.timeout(LIMIT):
            assert await Discovery(connections, [kind], seconds_each=0.2).find() is None
        await connections.close()


async def test_proxy_is_not_asked(aiohttp_server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment gets nothing of the search."""
    proxy = ModelServer(OF_OLLAMA)
    address = str((await aiohttp_server(proxy.app)).make_url("/"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, address)
    await found_at(await aiohttp_server(ModelServer({}).app), OLLAMA)
    assert proxy.paths == []


# Owners


@contextmanager
def listener_of(user: int) -> Iterator[int]:
    """Run a process of another account that listens at a port of 127.0.0.1."""
    code = f"""
import os, socket
os.setuid({user})
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1])
input()
"""
    command = [sys.executable, "-u", "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of other accounts")
@pytest.mark.parametrize(("user", "expected"), [(0, True), (998, True), (1000, False), (65534, False)])
def test_listener_of_another_account_is_not_trusted(user: int, expected: bool) -> None:
    """This user, root and system accounts are trusted, other people's accounts and nobody are not."""
    with listener_of(user) as port:
        assert is_trusted(port) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_own_listener_is_trusted_at_every_address(host: str) -> None:
    """A server that listens at every address is found in either table."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        assert is_trusted(server.getsockname()[1])


def test_nothing_is_trusted_where_nobody_listens() -> None:
    """A port without a listener has no owner to trust."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not is_trusted(port)


# Use


@asynccontextmanager
async def models_at(*servers: TestServer, **settings: Any) -> AsyncIterator[UpstreamModels]:
    """Models of a server without `--llm-url` that looks at these servers."""
    models = UpstreamModels(Settings(llm_url=None, **settings), discovery=at(*servers))
    task = asyncio.create_task(models.find())
    yield models
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await models.close()


async def answer(models: UpstreamModels, manager: CharacterManager) -> str:
    """Return the response of Ada's model."""
    request = ModelRequest(messages=[{"role": "user", "content": "hi"}])
    return "".join([delta.text async for delta in pieces_of(models.of(manager.current["Ada"]), request)])


async def until_found(models: UpstreamModels) -> None:
    """Wait until a server was found."""
    async with asyncio.timeout(LIMIT):
        while await models.state() == "offline":
            await asyncio.sleep(0.01)


async def test_server_that_starts_later_is_found_and_used(
    aiohttp_server: Serve, manager: CharacterManager, caplog: pytest.LogCaptureFixture
) -> None:
    """The stand-in answers until a server is found; then its first model does, and the log has it."""
    caplog.set_level(logging.INFO, "charhost.llm")
    later = ModelServer({})
    async with models_at(await aiohttp_server(later.app)) as models:
        assert await models.state() == "offline"
        assert "llama" not in await answer(models, manager)
        later.found = OF_OLLAMA
        await until_found(models)
        assert await answer(models, manager) == "llama3.2:latest"
        assert "characters speak with llama3.2:latest at Ollama (127.0.0.1:" in caplog.text
        assert "choose another with --llm-url" in caplog.text


async def test_server_that_goes_away_makes_responses_fail(aiohttp_server: Serve, manager: CharacterManager) -> None:
    """The stand-in does not come back: responses fail as with any model."""
    server = await aiohttp_server(ModelServer(OF_OLLAMA).app)
    async with models_at(server) as models:
        await until_found(models)
        await server.close()
        with pytest.raises(ModelError) as failure:
            await answer(models, manager)
        assert failure.value.error_type == "unreachable"
        assert await models.state() == "down"


async def test_key_of_a_character_is_not_sent_after_the_server_has_gone(aiohttp_server: Serve) -> None:
    """A server that was found is as little trusted with a key that a character names."""
    server = await aiohttp_server(ModelServer(OF_OLLAMA).app)
    async with models_at(server) as models:
        await until_found(models)
        await server.close()
        assert models.selection.server is not None
        with pytest.raises(ModelError, match="another account"):
            await models.selection.expect_trusted(replace(models.selection.server, key="secret"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of other accounts")
async def test_words_are_not_sent_to_an_account_that_takes_the_port_over(
    aiohttp_server: Serve, manager: CharacterManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was found is asked only while its listener is trusted."""
    upstream = ModelServer(OF_OLLAMA)
    async with models_at(await aiohttp_server(upstream.app)) as models:
        await until_found(models)
        monkeypatch.setattr(os, "getuid", lambda: 1234)
        monkeypatch.setattr("charhost.llm.openai.discovery._FIRST_USER", 0)
        with pytest.raises(ModelError, match="another account"):
            await answer(models, manager)


async def test_model_can_be_chosen(aiohttp_server: Serve, manager: CharacterManager) -> None:
    """Another model of the server answers once it is chosen; one that it does not have is refused."""
    async with models_at(await aiohttp_server(ModelServer(OF_OLLAMA).app)) as models:
        await until_found(models)
        with pytest.raises(KeyError):
            await models.selection.choose("none-such")
        await models.selection.choose("qwen3:4b")
        assert await answer(models, manager) == "qwen3:4b"
        used = await models.selection.in_use()
        assert used is not None
        assert (used.found, used.model, used.models) == (True, "qwen3:4b", ["llama3.2:latest", "qwen3:4b"])


async def test_none_is_never_looked_for(aiohttp_server: Serve) -> None:
    """With `--llm-url none` the stand-in stays, and no address is asked."""
    upstream = ModelServer(OF_OLLAMA)
    models = UpstreamModels(Settings(llm_url="none"), discovery=at(await aiohttp_server(upstream.app)))
    await models.find()
    assert (await models.state(), upstream.paths, await models.selection.in_use()) == ("offline", [], None)


# Over HTTP


async def test_model_is_chosen_over_http(
    aiohttp_server: Serve, aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings
) -> None:
    """The models of a configured server are listed, and one of them is chosen."""
    url = str((await aiohttp_server(ModelServer(OF_VLLM | {"/v1/models": listed("a", "b")}).app)).make_url("/v1"))
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, llm_url=url)))
    before = await (await client.get("/v1/model")).json()
    assert (before["found"], before["model"], before["models"]) == (False, "a", ["a", "b"])
    refused = await client.put("/v1/model", json={"model": "c"})
    assert (refused.status, (await refused.json())["code"]) == (404, "model_not_found")
    assert (await (await client.put("/v1/model", json={"model": "b"})).json())["model"] == "b"
    health = await (await client.get("/v1/health")).json()
    assert health["model"].startswith("b at 127.0.0.1:")
