"""The origins whose pages may read responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client

StartClient = Callable[..., Awaitable[Client]]

PAGE = "http://localhost:3000"
ALLOW = "Access-Control-Allow-Origin"
OPEN = ["/v1/models", "/v1/models/Ada", "/v1/voices", "/v1/health"]
CHAT = "/v1/chat/completions"
WISH = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-stainless-lang"}


@pytest.fixture
def start(aiohttp_client: StartClient, settings: Settings) -> StartClient:
    """Starts a server with that setting of `cors_origin` and further settings."""

    async def start(origins: str | None = None, **more: str) -> Client:
        return await aiohttp_client(create_app(Settings(directory=settings.directory, cors_origin=origins, **more)))

    return start


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("origin", [PAGE, "https://localhost", "http://127.0.0.1:8080", "http://[::1]:5173"])
async def test_pages_of_this_machine_may_read(client: Client, path: str, origin: str) -> None:
    """By default any port of localhost is allowed, and caches separate the origins."""
    answer = await client.get(path, headers={"Origin": origin})
    assert (answer.status, answer.headers[ALLOW], answer.headers["Vary"]) == (200, origin, "Origin")


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "null", "http://localhost.evil.com", "http://evil.com:80/localhost", "localhost:3000"]
)
async def test_foreign_pages_may_not(client: Client, origin: str) -> None:
    """A page of another site is refused, and its browser does not show it that response."""
    answer = await client.get("/v1/models", headers={"Origin": origin})
    assert (answer.status, (await answer.json())["error"]["code"]) == (403, "origin_not_allowed")
    assert ALLOW not in answer.headers
    assert answer.headers["Vary"] == "Origin"
    asked = await client.options(CHAT, headers={"Origin": origin, **WISH})
    assert not any(name.startswith("Access-Control-Allow") for name in asked.headers)


async def test_a_request_without_an_origin_gets_no_header(client: Client) -> None:
    """Without an `Origin` there is nothing to allow."""
    assert ALLOW not in (await client.get("/v1/models")).headers


async def test_a_preflight_lists_what_a_page_may_send(client: Client) -> None:
    """The response to a preflight has the methods and the requested headers."""
    answer = await client.options(CHAT, headers={"Origin": PAGE, **WISH})
    assert (answer.status, await answer.read()) == (204, b"")
    assert answer.headers[ALLOW] == PAGE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == WISH["Access-Control-Request-Headers"]
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_preflight_needs_no_key(start: StartClient) -> None:
    """A browser sends no key with it; the refusal of the request itself can be read by the page."""
    client = await start(api_key="s3cret")
    assert (await client.options(CHAT, headers={"Origin": PAGE, **WISH})).status == 204
    refused = await client.post(CHAT, json={}, headers={"Origin": PAGE})
    assert (refused.status, refused.headers[ALLOW]) == (401, PAGE)


async def test_pages_may_read_errors(client: Client) -> None:
    """An error has the CORS headers too, and exposes the headers that a client needs for a retry."""
    answer = await client.get("/v1/models/Nobody", headers={"Origin": PAGE})
    assert (answer.status, answer.headers[ALLOW]) == (404, PAGE)
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_origins_can_be_chosen(start: StartClient) -> None:
    """With a setting those origins may, and no others, localhost among them."""
    client = await start("https://a.example, https://b.example:8443/")
    for origin, allowed in [("https://a.example", True), ("https://b.example:8443", True), (PAGE, False)]:
        assert ((await client.get("/v1/models", headers={"Origin": origin})).headers.get(ALLOW) == origin) is allowed


async def test_a_star_is_every_origin(start: StartClient) -> None:
    """`*` lets any page read, but none with the cookies of its user."""
    answer = await (await start("*")).get("/v1/models", headers={"Origin": "http://evil.com"})
    assert answer.headers[ALLOW] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/characters", "/v1/characters/status", "/v1/characters/reload", "/metrics", "/"])
async def test_other_endpoints_are_for_no_page(start: StartClient, path: str) -> None:
    """Endpoints for admins have no CORS headers, whatever the setting."""
    client = await start("*")
    for method in ("GET", "OPTIONS"):
        answer = await client.request(method, path, headers={"Origin": PAGE, **WISH})
        assert not any(name.startswith("Access-Control") for name in answer.headers)
