"""A browser that shows the studio, and a model that repeats its prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic_core import to_json

from charhost.settings import Settings
from charhost.web.app import create_app
from scripts import chromium
from tests.conftest import Client

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

needs_chromium = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="chromium is not installed")
MILLISECONDS = 180_000
expect = playwright.expect
expect.set_options(timeout=MILLISECONDS)


class Upstream:
    """A model's server: it repeats the system prompt and the last message, and stops in the middle of `slowly`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.url = ""
        self.app = web.Application()
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_post("/v1/chat/completions", self._complete)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "repeat", "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        messages = (await request.json())["messages"]
        said = messages[-1]["content"] if len(messages) > 1 else "nothing"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in (messages[0]["content"], f" | You said: {said}"):
            await response.write(_chunk({"content": word}))
            if "slowly" in said:
                await self.go_on.wait()
        await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + to_json({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"


# One browser serves all tests of a module, which therefore run in one loop, and their servers with them.
in_one_loop = pytest.mark.asyncio(loop_scope="module")
_fixture = pytest_asyncio.fixture(loop_scope="module")


@pytest.fixture(scope="module")
def chromium_options() -> tuple[str, ...]:
    """Options of the browser; a module may have its own."""
    return ()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(chromium_options: tuple[str, ...]) -> AsyncIterator[Any]:
    """A browser."""
    async with browser(*chromium_options) as window:
        yield window


@_fixture
async def aiohttp_client() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Start an application, and return its client."""
    async with AsyncExitStack() as clients:

        async def begin(app: web.Application) -> Client:
            return await clients.enter_async_context(TestClient(TestServer(app)))

        yield begin


@_fixture
async def client(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> Client:
    """A client of a running application that serves the directory."""
    return await start(aiohttp_client, settings)


@_fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A model's server that listens."""
    upstream = Upstream()
    async with TestServer(upstream.app) as server:
        upstream.url = str(server.make_url("/v1"))
        yield upstream
        upstream.go_on.set()


@pytest.fixture
def settings(directory: Path, upstream: Upstream) -> Settings:
    """Settings with that model and a watcher."""
    return Settings(directory=directory, llm_url=upstream.url, watch=True)


@asynccontextmanager
async def browser(*options: str) -> AsyncIterator[Any]:
    """Run a browser with more command-line *options*."""
    async with playwright.async_playwright() as driver:
        window = await chromium.launch(driver, *options)
        yield window
        await window.close()


@asynccontextmanager
async def opened(window: Any, **options: Any) -> AsyncIterator[Any]:
    """Open a page with a storage of its own; at the end no message and no error may be in its console."""
    context = await window.new_context(**options)
    context.set_default_timeout(MILLISECONDS)
    page = await context.new_page()
    messages = page.messages = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    # The browser itself reports what cannot be reached, and what a key does not allow.
    unexpected = [text for text in messages if "ERR_" not in text and "status of 40" not in text]
    assert not unexpected, unexpected


@_fixture
async def page(window: Any) -> AsyncIterator[Any]:
    """A page with a storage of its own."""
    async with opened(window) as page:
        yield page


async def open_studio(page: Any, client: Client, address: str = "") -> None:
    """Show the studio of the client's server, and wait until it is connected."""
    await page.goto(f"{client.make_url('/')}{address}")
    await page.get_by_text("Connected", exact=True).wait_for(state="attached")


async def start(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> Client:
    return await aiohttp_client(create_app(settings))
