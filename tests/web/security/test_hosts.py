"""The names under which a server without an API key can be reached."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import WSServerHandshakeError

from tests.conftest import Client

Start = Callable[..., Awaitable[Client]]

FOREIGN = [
    "evil.com",
    "evil.com:8000",
    "localhost.evil.com",
    "127.0.0.1.evil.com",
    "127.1",
    ":8000",
    "[::1",
    "me@localhost",
    "me:x@127.0.0.1:8000",
]
PATHS = ["/", "/v1/health", "/v1/voices", "/metrics", "/docs", "/openapi.json", "/v1/models", "/v1/characters", "/no"]


async def status(client: Client, host: str, path: str = "/v1/models") -> int:
    """Return the status of a request under that name."""
    return (await client.get(path, headers={"Host": host})).status


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_name_is_refused(client: Client, host: str) -> None:
    """A page whose name was made to resolve to this machine gets nothing."""
    assert await status(client, host) == 421


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_name_is_refused_everywhere(client: Client, path: str) -> None:
    """Every route is refused, also one that does not exist."""
    assert await status(client, "evil.com", path) == 421


async def test_a_foreign_name_is_refused_an_upgrade(client: Client) -> None:
    """A rebound page has the origin of the server, and is recognised by its name."""
    headers = {"Host": "evil.com:8000", "Origin": "http://evil.com:8000"}
    with pytest.raises(WSServerHandshakeError) as refusal:
        await client.ws_connect("/v1/realtime", headers=headers)
    assert refusal.value.status == 421


async def test_an_admins_route_refuses_in_its_own_way(client: Client) -> None:
    """A caller under a foreign name is no admin without a key: 403, as for every caller that is not local."""
    answer = await client.post("/v1/characters/reload", json={}, headers={"Host": "evil.com"})
    assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8000", "ada.localhost:8000", "127.0.0.1", "[::1]:8000", "192.168.1.5:8000"),
        *(socket.gethostname(), f"{socket.gethostname().split('.')[0]}.local:8000", ""),
    ],
)
async def test_names_of_this_machine_are_known(client: Client, host: str) -> None:
    """Its own names, every address and a missing name can be no rebound page."""
    assert await status(client, host) == 200


async def test_the_refusal_names_the_option(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """The response and the log name the option, with the name that it lacks."""
    caplog.set_level(logging.INFO)
    answer = await client.get("/v1/models", headers={"Host": "chat.example.com:8000"})
    error = (await answer.json())["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "host_not_allowed")
    assert "--allowed-hosts chat.example.com " in error["message"]
    assert "--allowed-hosts chat.example.com " in caplog.text


async def test_many_refusals_are_one_short_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Requests for another name cannot fill the log, whatever their paths."""
    caplog.set_level(logging.INFO)
    for number in range(20):
        await client.get(f"/v1/models/{number}{'x' * 4000}", headers={"Host": f"{number}.example.com"})
    (line,) = [message for message in caplog.messages if message.startswith("refused")]
    assert len(line) < 1000


async def test_names_can_be_allowed(start: Start) -> None:
    """`--allowed-hosts` takes several names, on any port."""
    client = await start(allowed_hosts="Chat.example.com, host.docker.internal")
    found = {host: await status(client, host) for host in ("chat.example.com", "host.docker.internal:8000", "evil.com")}
    assert found == {"chat.example.com": 200, "host.docker.internal:8000": 200, "evil.com": 421}


async def test_the_name_to_listen_on_is_known(start: Start) -> None:
    """A server that listens on a name is reached under it."""
    assert await status(await start(host="charhost.example.com", admin_key="s3cret"), "charhost.example.com") == 200


async def test_a_star_is_every_name(start: Start) -> None:
    """`*` is for a server that a proxy protects."""
    assert await status(await start(allowed_hosts="*"), "evil.com") == 200


async def test_an_api_key_makes_names_irrelevant(start: Start) -> None:
    """A rebound page has no key, so a server with one needs no list of names."""
    client = await start(api_key="sesame")
    answer = await client.get("/v1/models", headers={"Host": "evil.com", "Authorization": "Bearer sesame"})
    assert (answer.status, await status(client, "evil.com", "/v1/health")) == (200, 200)


async def test_an_admin_key_alone_does_not(start: Start) -> None:
    """With an admin key alone chat stays open, so the name counts, except for an admin."""
    client = await start(admin_key="s3cret")
    assert await status(client, "evil.com") == 421
    headers = {"Host": "evil.com", "Authorization": "Bearer s3cret"}
    assert (await client.get("/v1/models", headers=headers)).status == 200
