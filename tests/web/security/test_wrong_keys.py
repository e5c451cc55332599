"""Wrong keys are counted and logged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from charhost.metrics import Metrics
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import METRICS
from charhost.web.security import wrong_keys
from charhost.web.security.wrong_keys import WrongKeys
from tests.conftest import Client

RELOAD = "/v1/characters/reload"
ADMIN_KEY, CHAT_KEY = "s3cret-of-the-admin", "s3cret-of-a-client"
WRONG = {"Authorization": "Bearer wrong"}


@pytest.fixture
async def keyed(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> Client:
    """A client of a server that has an admin key and an API key."""
    keys = {"admin_key": ADMIN_KEY, "api_key": CHAT_KEY}
    return await aiohttp_client(create_app(Settings(directory=settings.directory, **keys)))


def counted(client: Client, kind: str) -> float:
    """Return the number of wrong keys of that kind."""
    return client.app[METRICS].registry.get_sample_value("charhost_auth_failures_total", {"kind": kind}) or 0.0


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/characters/status", "admin"),
        ("/v1/characters", "chat"),
        ("/v1/models", "chat"),
        ("/v1/realtime", "chat"),
    ],
)
async def test_wrong_keys_are_counted(keyed: Client, path: str, kind: str) -> None:
    """Every wrong key gets 401 and is counted by its place, also in the header of an upgrade."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    sent = {**WRONG, **(upgrade if path == "/v1/realtime" else {}), "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert [(await keyed.get(path, headers=sent)).status for _ in range(20)] == [401] * 20
    assert counted(keyed, kind) == 20


async def test_wrong_keys_in_a_subprotocol_are_counted(keyed: Client) -> None:
    """A browser's key, which comes among the subprotocols, counts like any other."""
    for _ in range(3):
        async with keyed.ws_connect("/v1/realtime", protocols=("realtime", "openai-insecure-api-key.wrong")) as ws:
            assert (await ws.receive_json())["error"]["code"] == "invalid_api_key"
    assert counted(keyed, "chat") == 3


async def test_the_right_key_always_opens(keyed: Client) -> None:
    """Wrong keys from an address, such as that of a proxy, do not lock out other clients behind it."""
    for _ in range(20):
        await keyed.get("/v1/characters/status", headers=WRONG)
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    assert (await keyed.get("/v1/characters/status", headers=admin)).status == 200
    assert (await keyed.get("/v1/models", headers={"Authorization": f"Bearer {CHAT_KEY}"})).status == 200


async def test_a_missing_key_is_no_wrong_one(keyed: Client) -> None:
    """A request without a key does not count, nor does one with a wrong key where none is needed."""
    assert {(await keyed.get("/v1/models")).status for _ in range(10)} == {401}
    assert {(await keyed.get("/v1/health", headers=WRONG)).status for _ in range(10)} == {200}
    assert counted(keyed, "chat") == 0


async def test_a_chat_key_is_no_wrong_one(keyed: Client) -> None:
    """A chat key is refused at an admin's endpoint, over HTTP and in a session, and does not count."""
    sent = {"Authorization": f"Bearer {CHAT_KEY}"}
    assert {(await keyed.post(RELOAD, json={}, headers=sent)).status for _ in range(5)} == {401}
    async with keyed.ws_connect("/v1/realtime?dialect=ga", headers=sent) as ws:
        assert (await ws.receive_json())["type"] == "session.created"
        for _ in range(5):
            await ws.send_json({"type": "session.characters.reload"})
        answers = [await ws.receive_json() for _ in range(5)]
    assert {answer["error"]["code"] for answer in answers} == {"invalid_key"}
    assert counted(keyed, "admin") == 0


async def test_any_key_will_do_where_none_is_configured(client: Client) -> None:
    """Some clients have to send a key: without configured keys none is wrong, not even from a foreign page."""
    assert {(await client.get("/v1/models", headers=WRONG)).status for _ in range(20)} == {200}
    foreign = WRONG | {"Origin": "http://evil.com"}
    assert {(await client.post(RELOAD, json={}, headers=foreign)).status for _ in range(20)} == {403}
    assert (counted(client, "admin"), counted(client, "chat")) == (0, 0)


async def test_the_log_has_the_number_and_the_last_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first wrong key is logged at once; all others of the interval share one line at its end."""
    monkeypatch.setattr(wrong_keys, "INTERVAL", 0.05)
    keys = WrongKeys(Metrics())
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        keys.count("admin", address)
    assert caplog.messages == ["wrong keys within a minute: 1, the last from 192.0.2.1"]
    async with asyncio.timeout(60):
        while len(caplog.messages) < 2:
            await asyncio.sleep(0.005)
    assert caplog.messages[1:] == ["wrong keys within a minute: 2, the last from 192.0.2.3"]


async def test_a_quiet_interval_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without further wrong keys there is no further line, and the next one is logged at once again."""
    monkeypatch.setattr(wrong_keys, "INTERVAL", 0.0)
    keys = WrongKeys(Metrics())
    keys.count("chat", "192.0.2.1")
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, ended.set)
    await asyncio.wait_for(ended.wait(), 60)
    assert len(caplog.messages) == 1
    keys.count("chat", "192.0.2.2")
    assert len(caplog.messages) == 2


async def test_many_wrong_keys_are_one_line(keyed: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A guesser does not fill the log: within the minute there is one line, and it has no key."""
    for _ in range(50):
        await keyed.get("/v1/models", headers=WRONG)
    lines = [message for message in caplog.messages if message.startswith("wrong keys")]
    assert lines == ["wrong keys within a minute: 1, the last from 127.0.0.1"]
