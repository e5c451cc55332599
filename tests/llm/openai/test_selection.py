"""The server that characters speak with, and its model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_core import from_json

from tests.llm.openai.asking import STOP, Make, failure, text
from tests.llm.openai.scripted_upstream import Line


async def test_model_is_asked_for_once(upstream: Any, make: Make) -> None:
    """Without a configured model the server's first one is used, and its list is read once."""

    async def script(line: Line) -> None:
        listing = line.head.startswith("GET /v1/models ")
        line.answer(b'{"data":[{"id":"first"}]}' if listing else STOP)

    server = await upstream(script)
    models = make(server.url, llm_model=None)
    await asyncio.gather(text(models), text(models))
    posts = [from_json(line.body)["model"] for line in server.requests if line.head.startswith("POST")]
    assert (posts, len(server.requests)) == (["first", "first"], 3)


@pytest.mark.parametrize("status", ["404 Not Found", "200 OK"])
async def test_no_model_to_ask_for(status: str, upstream: Any, make: Make) -> None:
    """If the server's models cannot be listed, the error names the setting."""

    async def script(line: Line) -> None:
        line.answer(b'{"data":[]}', status)

    error = await failure(make((await upstream(script)).url, llm_model=None))
    assert "--llm-model" in str(error)
