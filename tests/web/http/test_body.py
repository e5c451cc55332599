"""The bodies of requests."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import StreamReader, web

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.scripted import LIMIT

_LARGE = 256 << 20


@pytest.mark.parametrize("headers", [{}, {"Expect": "nothing"}], ids=["refused", "refused before any handler"])
async def test_the_rest_of_a_compressed_body_is_left_unread(
    aiohttp_client: Callable[..., Awaitable[Client]], headers: dict[str, str]
) -> None:
    """A refused request with a compressed body costs no more than the beginning of it, and its connection."""
    bodies: list[StreamReader] = []

    async def note(request: web.Request, _: web.StreamResponse) -> None:
        bodies.append(request.content)

    app = create_app(Settings(admin_key="a" * 32))
    app.on_response_prepare.append(note)
    client = await aiohttp_client(app)
    answer = await client.put(
        "/v1/model", data=gzip.compress(bytes(_LARGE)), headers={"Content-Encoding": "gzip", **headers}
    )
    assert answer.status == (417 if headers else 401)
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Connection"] == "close"
    await client.get("/v1/health")  # by then the server has ended the first connection
    assert bodies[0].total_bytes < _LARGE // 16


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/characters/reload"])
async def test_a_body_that_is_declared_too_large_is_not_waited_for(
    aiohttp_client: Callable[..., Awaitable[Client]], path: str
) -> None:
    """The length alone is refused, before a byte of the body has come."""
    client = await aiohttp_client(create_app(Settings()))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    lines = f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {1 << 40}"
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(LIMIT):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413")
    writer.close()


@pytest.mark.parametrize("parameters", ["(" * 8_000, f"a*{'9' * 5_000}=b"], ids=["nested", "numbered"])
async def test_parameters_of_the_media_type_are_not_read(
    aiohttp_client: Callable[..., Awaitable[Client]], parameters: str
) -> None:
    """Some keep the parser of the standard library busy for a second, and some make it fail."""
    client = await aiohttp_client(create_app(Settings()))
    headers = {"Content-Type": f"Application/JSON ; {parameters}"}
    answer = await client.post("/v1/characters/reload", data=b"[]", headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_request")
