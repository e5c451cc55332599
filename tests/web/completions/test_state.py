"""The state of a character over chat completions and responses, with OpenAI's SDK and a strict model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.strict_upstream import StrictUpstream, strict_upstream
from tests.web.completions.scoring import KEYS, SCORING, chat, scores, sdk

Serve = Callable[..., Awaitable[Client]]
Write = Callable[[str, str], Path]


@asynccontextmanager
async def world(serve: Serve, write: Write, **settings: Any) -> AsyncIterator[tuple[Client, StrictUpstream]]:
    """Serve Ada, who counts the calls of her tool, with a model that makes one in each response."""
    directory = write("ada.py", SCORING).parent
    async with strict_upstream() as upstream:
        yield await serve(create_app(Settings(directory=directory, llm_url=upstream.url, **settings))), upstream


@pytest.mark.parametrize("stream", [False, True])
async def test_a_score_lasts(aiohttp_client: Serve, write: Write, stream: bool) -> None:
    """Each request goes on with the character of its conversation, also another response to the same message."""
    async with world(aiohttp_client, write) as (client, upstream), sdk(client) as caller:
        for prompts in (["Hi"], ["Hi", "Roll"], ["Hi", "Roll"], ["Hi", "Roll", "Again"], ["Ho"]):
            await chat(caller, *prompts, stream=stream)
        assert scores(upstream) == ["1", "2", "3", "4", "1"]


@pytest.mark.parametrize(
    "named",
    [
        {"extra_headers": {"X-OpenWebUI-Chat-Id": "one"}},
        {"extra_headers": {"X-Conversation-Id": "one"}},
        {"metadata": {"conversation_id": "one"}},
    ],
)
async def test_a_score_belongs_to_its_conversation(aiohttp_client: Serve, write: Write, named: Any) -> None:
    """Conversations that begin alike are separated by the client's id, and have no state without."""
    async with world(aiohttp_client, write) as (client, upstream), sdk(client) as caller:
        unnamed: Any = {}
        for more in (named, unnamed, unnamed, named):
            await chat(caller, "Hi", **more)
        for more in (named, unnamed):
            await chat(caller, "Hi", "Roll", **more)
        assert scores(upstream) == ["1", "1", "1", "2", "3", "1"]


async def test_no_score_is_handed_to_another_key(aiohttp_client: Serve, write: Write) -> None:
    """With the same words and the same id another key begins anew."""
    unnamed: Any = {}
    named: Any = {"extra_headers": {"X-Conversation-Id": "one"}}
    async with world(aiohttp_client, write, api_key=",".join(KEYS)) as (client, upstream):
        for more in (unnamed, named):
            for prompts in (["Hi"], ["Hi", "Roll"]):
                for key in KEYS:
                    async with sdk(client, key) as caller:
                        await chat(caller, *prompts, **more)
        assert scores(upstream) == ["1", "1", "2", "2"] * 2


async def test_choices_of_one_request_share_the_score(aiohttp_client: Serve, write: Write) -> None:
    """The state goes on after all of them."""
    async with world(aiohttp_client, write) as (client, upstream), sdk(client) as caller:
        await chat(caller, "Hi", n=3)
        await chat(caller, "Hi", "Roll")
        assert sorted(scores(upstream)) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(("policy", "score"), [("close", "1"), ("follow", "1"), ("keep", "2")])
async def test_a_reload_treats_a_score_as_that_of_a_session(
    aiohttp_client: Serve, write: Write, policy: str, score: str
) -> None:
    """Only under `keep` the version goes on that counted."""
    async with world(aiohttp_client, write) as (client, upstream), sdk(client) as caller:
        await chat(caller, "Hi")
        write("ada.py", SCORING.replace("Be kind.", "Be brief."))
        await client.post("/v1/characters/reload", json={"sessions": policy})
        await chat(caller, "Hi", "Roll")
        assert scores(upstream) == ["1", score]
        prompt = "Be kind." if policy == "keep" else "Be brief."
        assert upstream.accepted[-1]["messages"][0]["content"] == prompt


async def test_a_score_lasts_in_responses(aiohttp_client: Serve, write: Write) -> None:
    """A chain has the state of its conversation, and after a reload the new version of the character."""
    async with world(aiohttp_client, write) as (client, upstream), sdk(client) as caller:
        first = await caller.responses.create(model="Ada", input="Hi")
        second = await caller.responses.create(model="Ada", input="Roll", previous_response_id=first.id)
        await client.post("/v1/characters/reload", json={"sessions": "keep"})
        await caller.responses.create(model="Ada", input="Again", previous_response_id=second.id)
        assert scores(upstream) == ["1", "2", "1"]
