"""Requests that are no valid HTTP, and what the log has of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Client

KEY = "s3cret-0123456789abcdef"


async def sent(client: Client, request: bytes) -> bytes:
    """Return the response to the bytes of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "header",
    [f"Authorization: Bearer {KEY}\r", f"Authorization: Bearer {KEY}\x01", f"{KEY}", f"X-{KEY}: {'x' * 20_000}"],
    ids=["line break", "control character", "no header", "too long"],
)
async def test_key_in_a_malformed_request(client: Client, caplog: pytest.LogCaptureFixture, header: str) -> None:
    """Neither the response nor the log has any of a header that cannot be read."""
    caplog.set_level("DEBUG")
    answer = await sent(client, f"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert b'"code":"bad_request"' in answer
    assert KEY[:8] not in answer.decode() + caplog.text


async def test_log_of_malformed_requests(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A flood of them is one line a minute, with the address and the kind."""
    for _ in range(20):
        await sent(client, b"\x16\x03\x01 secret\r\n\r\n")
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert lines == ["a malformed request from 127.0.0.1: BadHttpMethod"]


async def test_server_goes_on(client: Client) -> None:
    """The next request is served."""
    await sent(client, b"nonsense\r\n\r\n")
    assert (await client.get("/v1/health")).status == 200
