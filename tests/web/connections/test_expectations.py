"""The header `Expect`, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client

KEY = "k" * 32
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHAT, RELOAD, SPEECH = "/v1/chat/completions", "/v1/characters/reload", "/v1/audio/transcriptions"


@pytest.fixture
async def client(aiohttp_client: Callable[..., Awaitable[Client]], tmp_path: Path) -> Client:
    """A client of a server with keys."""
    return await aiohttp_client(create_app(Settings(admin_key=KEY, api_key=KEY, directory=str(tmp_path))))


async def begun(
    client: Client, path: str, length: int, *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the headers of a request whose body is held back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    lines = f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}", "Expect: 100-continue", *headers
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return reader, writer


@pytest.mark.parametrize(
    ("path", "length", "headers", "status"),
    [
        (CHAT, 100, (), b"401"),
        (RELOAD, 100, (), b"401"),
        (RELOAD, 100, (f"Authorization: Bearer {KEY}",), b"415"),
        (RELOAD, 70_000, (f"Authorization: Bearer {KEY}", "Content-Type: application/json"), b"413"),
        (CHAT, (24 << 20) + 1, (f"Authorization: Bearer {KEY}", "Content-Type: application/json"), b"413"),
        (SPEECH, 28 << 20, (f"Authorization: Bearer {KEY}",), b"404"),  # no engine hears
    ],
)
async def test_a_refused_request_is_not_asked_for_its_body(
    client: Client, path: str, length: int, headers: tuple[str, ...], status: bytes
) -> None:
    """The refusal is the first response, and says that the connection ends: the body was not read."""
    reader, writer = await begun(client, path, length, *headers)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in head.lower()


async def test_a_good_request_is_asked_for_its_body(client: Client) -> None:
    """The word comes before the body, and the response after it, over a connection that stays open."""
    body = b'{"model":"Ada","messages":[{"role":"user","content":"Hi"}]}'
    reader, writer = await begun(
        client, CHAT, len(body), f"Authorization: Bearer {KEY}", "Content-Type: application/json"
    )
    assert await reader.readexactly(len(CONTINUE)) == CONTINUE
    writer.write(body)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")  # there is no such character
    assert b"connection: close" not in head.lower()
    writer.close()


async def test_a_request_without_a_body_is_answered(client: Client) -> None:
    """A client that expects something for no body gets the response."""
    reader, writer = await begun(client, "/v1/characters/watch/resume", 0, f"Authorization: Bearer {KEY}")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith((b"HTTP/1.1 2", b"HTTP/1.1 4"))
    writer.close()


async def test_an_unknown_expectation_is_refused(client: Client) -> None:
    """The refusal is a problem, which quotes no more than the beginning of the header; 100-continue is met."""
    answer = await client.get("/v1/health", headers={"Expect": "x" * 4_000})
    problem = await answer.json()
    assert (answer.status, problem["code"]) == (417, "expectation_failed")
    assert len(problem["detail"]) < 200
    assert (await client.get("/v1/health", headers={"Expect": "100-continue"})).status == 200
