"""Keys for browsers: made and used with OpenAI's SDK."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from openai.types.realtime import ClientSecretCreateResponse

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import GATE
from tests.conftest import Client, character

Serve = Callable[..., Awaitable[Client]]
ADMIN, CHAT, OTHER = "the key of the admin", "the key of a client", "the key of another"
SECRETS = "/v1/realtime/client_secrets"


@pytest.fixture
async def client(aiohttp_client: Serve, directory: Path) -> Client:
    """A server with two characters and keys."""
    (directory / "bob.py").write_text(character("Bob"))
    settings = Settings(directory=directory, admin_key=ADMIN, api_key=f"{CHAT},{OTHER}")
    return await aiohttp_client(create_app(settings))


@asynccontextmanager
async def sdk(client: Client, key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key=key, max_retries=0) as found:
        yield found


async def made(client: Client, key: str = CHAT, **session: Any) -> ClientSecretCreateResponse:
    """Make a secret for Ada with that key."""
    async with sdk(client, key) as caller:
        asked: Any = {"type": "realtime", "model": "Ada"} | session
        return await caller.realtime.client_secrets.create(session=asked)


def offered(key: str) -> dict[str, Any]:
    """Return the options of a WebSocket that sends its key as a browser does."""
    return {"protocols": ["realtime", f"openai-insecure-api-key.{key}"], "headers": {"Origin": "http://localhost:3000"}}


async def opened(client: Client, key: str, **query: str) -> tuple[str, str]:
    """Return the type of the first event of a session, and its id or the code of the error."""
    url = client.make_url("/v1/realtime").with_query(query)
    async with client.session.ws_connect(url, **offered(key)) as ws:
        event = await ws.receive_json()
        if event["type"] == "error":
            assert (await ws.receive()).type is WSMsgType.CLOSE
            return "error", event["error"]["code"]
        await ws.close(code=1001)
        return event["type"], event["session"]["id"]


async def test_a_secret_has_the_shape_of_openai(client: Client) -> None:
    """The SDK's strict model takes it; it lasts ten minutes, and its session has the settings that were sent."""
    async with sdk(client, CHAT) as caller:
        raw = await caller.realtime.client_secrets.with_raw_response.create(
            session={"type": "realtime", "model": "Bob", "instructions": "Rhyme."}
        )
    found = ClientSecretCreateResponse.model_validate_json(raw.text, strict=True)
    assert found.value.startswith("ek_")
    assert 590 <= found.expires_at - time.time() <= 600
    session: Any = found.session
    assert (session.type, session.model, session.instructions) == ("realtime", "Bob", "Rhyme.")


async def test_a_secret_opens_its_session(client: Client) -> None:
    """The session has the character and the settings of the secret, also without `?model=`."""
    secret = await made(client, instructions="Rhyme.")
    async with sdk(client, secret.value) as page, page.realtime.connect(model="Ada") as connection:
        event: Any = await connection.recv()
    assert (event.type, event.session.model, event.session.instructions) == ("session.created", "Ada", "Rhyme.")
    assert event.session.id == secret.session.to_dict()["id"]


async def test_a_secret_opens_one_session_and_resumes_it(client: Client) -> None:
    """A second session is refused, and the first goes on after its connection was lost."""
    secret = (await made(client)).value
    kind, session = await opened(client, secret)
    assert kind == "session.created"
    assert await opened(client, secret) == ("error", "invalid_api_key")
    assert await opened(client, secret, resume=session) == ("session.created", session)
    assert await opened(client, secret, resume=session) == ("session.created", session)


async def test_a_secret_resumes_no_other_session(client: Client) -> None:
    """Neither that of another secret nor that of the key that made it, and no other key resumes its own."""
    one, two = (await made(client)).value, (await made(client)).value
    _, of_one = await opened(client, one)
    _, of_two = await opened(client, two)
    _, of_key = await opened(client, CHAT)
    for key, session in ((one, of_two), (one, of_key), (CHAT, of_one), (OTHER, of_one), ("ek_guessed", of_one)):
        assert await opened(client, key, resume=session) == ("error", "session_not_found")
    assert await opened(client, one, resume=of_one) == ("session.created", of_one)


async def test_a_secret_outlives_a_restart_with_its_session(
    aiohttp_client: Serve, directory: Path, tmp_path: Path
) -> None:
    """A later server with the same state file and key resumes the session; one without that key does not."""

    async def serve(keys: str) -> Client:
        return await aiohttp_client(create_app(Settings(directory=directory, api_key=keys, state=tmp_path / "state")))

    first = await serve(f"{OTHER},{CHAT}")
    secret = (await made(first)).value
    _, session = await opened(first, secret)
    await first.close()
    second = await serve(OTHER)
    assert await opened(second, secret, resume=session) == ("error", "session_not_found")
    await second.close()
    third = await serve(f"{CHAT},{OTHER}")
    assert await opened(third, secret, resume=session) == ("session.created", session)


async def test_a_secret_is_for_one_character(client: Client) -> None:
    """Another one in the address is refused and does not use it up, and an update does not change it."""
    secret = (await made(client)).value
    assert await opened(client, secret, model="Bob") == ("error", "invalid_value")
    async with client.ws_connect("/v1/realtime", **offered(secret)) as ws:
        await ws.receive_json()
        await ws.send_json({"type": "session.update", "session": {"type": "realtime", "model": "Bob"}})
        assert (await ws.receive_json())["session"]["model"] == "Ada"


async def test_the_default_character_is_that_of_the_moment(client: Client) -> None:
    """Without a model the secret is for the default character."""
    async with sdk(client, CHAT) as caller:
        found: Any = await caller.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 60})
    assert found.session.model == "Ada"
    assert found.expires_at - time.time() <= 60


@pytest.mark.parametrize("key", [ADMIN, CHAT])
async def test_a_secret_has_no_other_right(client: Client, key: str) -> None:
    """It is no admin's, makes no other secret and opens nothing but its session, also a secret of an admin's."""
    secret = (await made(client, key)).value
    headers = {"Authorization": f"Bearer {secret}"}
    for method, path in (
        ("POST", SECRETS),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("GET", "/v1/models"),
        ("GET", "/v1/characters"),
        ("GET", "/v1/characters/status"),
        ("POST", "/v1/characters/reload"),
    ):
        assert (await client.request(method, path, headers=headers, json={})).status == 401, path
    async with client.ws_connect("/v1/realtime", **offered(secret)) as ws:
        await ws.receive_json()
        await ws.send_json({"type": "session.characters.reload"})
        assert (await ws.receive_json())["error"]["code"] == "invalid_key"


async def test_a_secret_is_no_admins_where_every_local_caller_is(aiohttp_client: Serve, directory: Path) -> None:
    """On a server without keys its session has no rights of an admin, and an unknown secret opens none."""
    client = await aiohttp_client(create_app(Settings(directory=directory)))
    secret = (await made(client, "x")).value
    status = await client.get("/v1/characters/status", headers={"Authorization": f"Bearer {secret}"})
    assert status.status == 401
    with pytest.raises(WSServerHandshakeError, match="401"):
        await client.ws_connect("/v1/realtime", headers={"Authorization": "Bearer ek_unknown"})
    async with client.ws_connect("/v1/realtime", **offered(secret)) as ws:
        await ws.receive_json()
        await ws.send_json({"type": "session.characters.reload"})
        assert (await ws.receive_json())["type"] == "error"


async def test_a_secret_is_kept_as_a_digest(client: Client) -> None:
    """Nothing that the server keeps of it has its text."""
    value = (await made(client)).value
    assert value not in repr(vars(client.app[GATE].secrets))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"session": {"type": "transcription"}}, "session.type"),
        ({"session": {"instructions": 5}}, "session.instructions"),
        ({"expires_after": {"seconds": 5}}, "expires_after.seconds"),
        ({"session": {"model": "Nobody"}}, "model"),
    ],
)
async def test_a_wrong_field_is_named(client: Client, body: Any, param: str) -> None:
    """The error of a refused request names its field in OpenAI's shape."""
    answer = await client.post(SECRETS, json=body, headers={"Authorization": f"Bearer {CHAT}"})
    assert (answer.status, (await answer.json())["error"]["param"]) == (404 if param == "model" else 400, param)


async def test_a_secret_is_not_for_pages_of_other_origins(client: Client) -> None:
    """The rule of the `Origin` holds for making and for using a secret, and does not use it up."""
    foreign = {"Origin": "http://evil.com"}
    made_there = await client.post(SECRETS, json={}, headers=foreign | {"Authorization": f"Bearer {CHAT}"})
    assert (made_there.status, (await made_there.json())["error"]["code"]) == (403, "origin_not_allowed")
    secret = (await made(client)).value
    with pytest.raises(WSServerHandshakeError, match="403"):
        await client.ws_connect("/v1/realtime", **offered(secret) | {"headers": foreign})
    assert (await opened(client, secret))[0] == "session.created"
