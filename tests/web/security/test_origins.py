"""The pages that may talk, over HTTP and over the WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import WSServerHandshakeError

from tests.conftest import Client

Start = Callable[..., Awaitable[Client]]

CHAT = {"model": "Ada", "messages": [{"role": "user", "content": "Hello"}]}
DESKTOP = ["app://obsidian.md", "tauri://localhost", "capacitor://localhost", "vscode-webview://0c7vd1", "null"]


async def statuses(client: Client, origin: str, **headers: str) -> list[int]:
    """Return the statuses of a chat, of the list of characters and of an upgrade that a page asks for."""
    headers |= {"Origin": origin}
    found = [(await client.post("/v1/chat/completions", json=CHAT, headers=headers)).status]
    found.append((await client.get("/v1/characters", headers=headers)).status)
    try:
        async with client.ws_connect("/v1/realtime?model=Ada", headers=headers) as ws:
            await ws.receive_json()
            return [*found, 101]
    except WSServerHandshakeError as refusal:
        return [*found, refusal.status]


REFUSED, ALLOWED = [403, 403, 403], [200, 200, 101]


@pytest.mark.parametrize("origin", ["http://evil.com", "https://localhost.evil.com", "null", "app://obsidian.md", "x"])
async def test_a_page_of_another_site_may_not_talk(client: Client, origin: str) -> None:
    """Any page that a person on this machine visits could use their server otherwise."""
    assert await statuses(client, origin) == REFUSED


async def test_pages_of_this_machine_may(client: Client) -> None:
    """Without a setting each port of localhost may."""
    assert await statuses(client, "http://localhost:3000") == ALLOWED


async def test_a_setting_is_for_both_doors(start: Start) -> None:
    """With `--cors-origin` its pages may talk, and those of localhost may not."""
    client = await start(cors_origin="https://chat.example.com, https://other.example.com:8443")
    assert await statuses(client, "https://CHAT.example.com") == ALLOWED
    assert await statuses(client, "https://other.example.com:8443") == ALLOWED
    assert await statuses(client, "http://localhost:3000") == REFUSED


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://10.0.0.5:8000", "10.0.0.5:8000"),
        ("https://chat.example.com", "chat.example.com"),
        ("https://chat.example.com", "chat.example.com:443"),
        ("http://chat.example.com", "Chat.example.com:80"),
    ],
)
async def test_the_own_host_may_always(start: Start, origin: str, host: str) -> None:
    """A page that the server or the proxy before it delivers may talk, whatever the setting allows."""
    client = await start(cors_origin="https://elsewhere.example.com", allowed_hosts="chat.example.com")
    assert await statuses(client, origin, Host=host) == ALLOWED


@pytest.mark.parametrize("host", ["127.0.0.1:8001", "127.0.0.1:443", "localhost"])
async def test_another_port_is_another_page(start: Start, host: str) -> None:
    """The own host includes its port."""
    client = await start(cors_origin="https://elsewhere.example.com")
    assert await statuses(client, "http://127.0.0.1", Host=host) == REFUSED


@pytest.mark.parametrize("origin", DESKTOP)
async def test_desktop_applications_can_be_allowed(start: Start, origin: str) -> None:
    """The origin of an application has a scheme of its own; `null` is allowed when it is named."""
    assert await statuses(await start(cors_origin=origin), origin) == ALLOWED
    assert await statuses(await start(cors_origin="*"), origin) == ALLOWED
    assert await statuses(await start(cors_origin="app://other"), origin) == REFUSED


async def test_every_name_of_a_scheme_can_be_allowed(start: Start) -> None:
    """An editor gives each of its pages another name."""
    client = await start(cors_origin="vscode-webview://*")
    assert await statuses(client, "vscode-webview://19a2bf") == ALLOWED
    assert await statuses(client, "vscode-webviewer://19a2bf") == REFUSED


async def test_a_key_does_not_open_for_a_page(start: Start) -> None:
    """A foreign page may not talk with a key either, and learns nothing about the key after an upgrade."""
    client = await start(api_key="sesame")
    assert await statuses(client, "http://evil.com", Authorization="Bearer sesame") == REFUSED
    assert await statuses(client, "http://localhost:3000", Authorization="Bearer sesame") == ALLOWED


async def test_a_page_of_an_admin_may_reload(start: Start) -> None:
    """With an admin key nothing else counts for a reload."""
    client = await start(admin_key="s3cret")
    headers = {"Origin": "http://evil.com", "Authorization": "Bearer s3cret"}
    assert (await client.post("/v1/characters/reload", json={}, headers=headers)).status == 200


async def test_the_refusal_names_the_option(client: Client) -> None:
    """The refusal has the origin and the option that allows it."""
    answer = await client.get("/v1/models", headers={"Origin": "http://evil.com"})
    message = (await answer.json())["error"]["message"]
    assert "http://evil.com" in message
    assert "--cors-origin" in message
