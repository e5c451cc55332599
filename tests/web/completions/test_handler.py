"""Requests for chat completions that are refused or fail."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic_core import to_json

from charhost.llm.model import ErrorType, ModelError
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from charhost.web.openai import request as talk
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.scripted import ScriptedModel
from tests.web.completions.helpers import CHAT, HI, STOP, Play, refusal


async def test_a_character_that_does_not_exist_is_not_found(client: Client) -> None:
    """An unknown model is a 404 in the shape that SDKs read."""
    error = await refusal(client, 404, model="Nobody")
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")
    assert "Nobody" in error["message"]


async def test_a_bad_request_names_the_field(client: Client) -> None:
    """A missing or wrong field is named by its path."""
    error = await refusal(client, 400, messages=[{"role": "user", "content": 5}])
    assert (error["code"], error["param"]) == ("invalid_type", "messages[0].content")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("cause", "status", "code", "kind"),
    [
        ("busy", 429, "rate_limit_exceeded", "rate_limit_error"),
        ("rate_limited", 429, "rate_limit_exceeded", "rate_limit_error"),
        ("unreachable", 502, "upstream_error", "server_error"),
        ("unauthorized", 502, "upstream_error", "server_error"),
        ("server_error", 502, "upstream_error", "server_error"),
        ("malformed", 502, "upstream_error", "server_error"),
        ("truncated", 502, "upstream_error", "server_error"),
        ("timeout", 504, "upstream_error", "server_error"),
        ("refused", 400, "upstream_error", "invalid_request_error"),
    ],
)
async def test_a_failure_of_the_model_has_its_status(
    client: Client, play: Play, streamed: bool, cause: ErrorType, status: int, code: str, kind: str
) -> None:
    """Each failure of the model has its status and code, also before a stream."""
    play([ModelError(cause, "It went wrong.")])
    error = await refusal(client, status, stream=streamed)
    assert error == {"message": "It went wrong.", "type": kind, "param": None, "code": code}


@pytest.mark.parametrize(("seconds", "header"), [(None, "1"), (0.2, "1"), (4.5, "5")])
async def test_a_busy_model_has_retry_after(client: Client, play: Play, seconds: float | None, header: str) -> None:
    """`Retry-After` is in whole seconds, at least one."""
    play([ModelError("busy", "Too many.", seconds)])
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI})
    assert (answer.status, answer.headers["Retry-After"]) == (429, header)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failing_prompt_is_not_retried(client: Client, play: Play, write: Write, streamed: bool) -> None:
    """A prompt that fails is a 500 whose header makes SDKs not retry."""
    write("ada.py", character("Ada").replace('return self.instructions["text"]', "raise ValueError('secret')"))
    await client.post("/v1/characters/reload", json={})
    play(["Hello.", STOP])
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": streamed})
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    error = (await answer.json())["error"]
    assert (error["code"], error["type"], "secret" in error["message"]) == ("prompt_failed", "server_error", False)


async def test_an_unexpected_error_is_not_retried(client: Client, play: Play) -> None:
    """An unexpected error is a 500 whose header makes SDKs not retry, without details."""
    play([LookupError("a secret")])
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI})
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    error = (await answer.json())["error"]
    assert (error["code"], "secret" in error["message"]) == ("internal_error", False)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    """A body over the limit is a 413, with or without a `Content-Length`."""
    monkeypatch.setattr(talk, "MOST_BODY_BYTES", 100)

    async def parts() -> AsyncIterator[bytes]:
        yield b" " * 101

    answer = await client.post(CHAT, data=b" " * 101 if announced else parts())
    assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")


async def test_a_picture_of_many_megabytes_fits(client: Client, play: Play) -> None:
    """A body with a picture of 12 MiB is accepted."""
    script = play(["Nice.", STOP])
    url = "data:image/png;base64," + "A" * (12 << 20)
    part = {"type": "image_url", "image_url": {"url": url}}
    body = to_json({"model": "Ada", "messages": [{"role": "user", "content": [part]}]})
    assert (await client.post(CHAT, data=io.BytesIO(body))).status == 200
    assert script.requests[0].messages[-1]["content"] == [part]


async def test_an_incomplete_body_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is not complete at its deadline is a 408."""
    monkeypatch.setattr(talk, "BODY_DEADLINE", 0.1)
    done = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await done.wait()

    answer = await client.post(CHAT, data=parts())
    assert (answer.status, (await answer.json())["error"]["code"]) == (408, "request_timeout")
    done.set()


async def test_a_body_that_cannot_be_unpacked_is_a_bad_request(client: Client) -> None:
    """A body that is not gzip, as its header claims, is a 400."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = await client.post(CHAT, data=b"{}", headers=headers, skip_auto_headers=["Content-Encoding"])
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(("origin", "status"), [("http://localhost:3000", 415), (None, 200)])
async def test_a_page_cannot_send_a_form(client: Client, play: Play, origin: str | None, status: int) -> None:
    """A plain-text request with a foreign `Origin` is refused, and one without `Origin` is not."""
    play(["Hello.", STOP])
    headers = {"Content-Type": "text/plain"} | ({"Origin": origin} if origin else {})
    body = json.dumps({"model": "Ada", "messages": HI})
    assert (await client.post(CHAT, data=body, headers=headers)).status == status


async def test_a_configured_key_is_required(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings
) -> None:
    """With a configured key a request without it is a 401."""
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, api_key="s3cret")))
    client.app[CONVERSATIONS].models = ScriptedModel(["Hello.", STOP])
    assert (await refusal(client, 401))["code"] == "invalid_api_key"
    headers = {"Authorization": "Bearer s3cret"}
    assert (await client.post(CHAT, json={"model": "Ada", "messages": HI}, headers=headers)).status == 200
