"""Requests that no character should answer by itself: tasks of chat programs, and system messages alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.strict_upstream import strict_upstream

Serve = Callable[..., Awaitable[Client]]
TASK: Any = [{"role": "user", "content": "Write a title."}]


async def test_the_task_model_is_the_bare_model(aiohttp_client: Serve, directory: Path) -> None:
    """It is listed beside the characters, and receives the messages of the client and nothing else."""
    async with strict_upstream("nonempty-content") as upstream:
        settings = Settings(directory=directory, llm_url=upstream.url, task_model="tasks")
        client = await aiohttp_client(create_app(settings))
        async with openai.AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key="x", max_retries=0) as sdk:
            assert [model.id async for model in sdk.models.list()] == ["Ada", "tasks"]
            assert (await sdk.models.retrieve("tasks")).id == "tasks"
            found = await sdk.chat.completions.create(model="tasks", messages=TASK)
        assert (found.model, found.choices[0].message.content) == ("tasks", "Hello from the model.")
        assert [request["messages"] for request in upstream.requests] == [TASK]
        assert "tools" not in upstream.requests[0]
        assert "tasks" not in await (await client.get("/v1/characters")).text()


async def test_a_character_of_that_name_answers(aiohttp_client: Serve, directory: Path) -> None:
    """The name of a character is never the bare model's."""
    async with strict_upstream() as upstream:
        client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=upstream.url, task_model="Ada")))
        await client.post("/v1/chat/completions", json={"model": "Ada", "messages": TASK})
        assert upstream.requests[0]["messages"][0] == {"role": "system", "content": "Be kind."}
        assert len((await (await client.get("/v1/models")).json())["data"]) == 1


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_system_messages_alone_are_answered_by_the_model(
    aiohttp_client: Serve, write: Callable[[str, str], Path], role: str
) -> None:
    """A character with a greeting does not greet, over chat completions and responses."""
    directory = write("ada.py", 'GREETING = "Ahoy!"\n' + character("Ada")).parent
    async with strict_upstream() as upstream:
        client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=upstream.url)))
        async with openai.AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key="x", max_retries=0) as sdk:
            task: Any = [{"role": role, "content": "Write a haiku."}]
            chat = await sdk.chat.completions.create(model="Ada", messages=task)
            response = await sdk.responses.create(model="Ada", input=task)
        assert [chat.choices[0].message.content, response.output_text] == ["Hello from the model."] * 2
        assert upstream.requests[0]["messages"][0]["content"] == "Be kind.\n\nWrite a haiku."
