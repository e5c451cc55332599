"""Requests to scripted model servers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from charhost.character.character import ModelChoice
from charhost.llm.model import Delta, ModelError, ModelRequest
from charhost.llm.openai.provider import UpstreamModels
from tests.llm.openai.scripted_upstream import Line
from tests.scripted import pieces_of

HELLO = ModelRequest([{"role": "user", "content": "Hello"}])
KEY = "sk-0123456789abcdef"
STOP = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

Make = Callable[..., UpstreamModels]


def character(**choice: Any) -> Any:
    """A character with that `LLM`."""
    return SimpleNamespace(
        name="Ada", llm=ModelChoice(**choice), greetings=("Hi!",), metadata={}, instructions={}, tools=(), file="ada.py"
    )


async def answer(models: UpstreamModels, request: ModelRequest = HELLO, **choice: Any) -> list[Delta]:
    """Return all deltas of a response."""
    return [delta async for delta in pieces_of(models.of(character(**choice)), request)]


async def text(models: UpstreamModels, **choice: Any) -> str:
    """Return the text of a response."""
    return "".join(delta.text for delta in await answer(models, **choice))


async def failure(models: UpstreamModels, **choice: Any) -> ModelError:
    """Return the error at the end of a response."""
    with pytest.raises(ModelError) as caught:
        await answer(models, **choice)
    return caught.value


async def hi(line: Line) -> None:
    """Send "Hi", and keep the connection."""
    line.answer(STOP)


async def silent(line: Line) -> None:
    """Send nothing until the client has left."""
    await line.gone()


async def listing(line: Line) -> None:
    """Send a list of one model, or Hi."""
    if line.head.startswith("GET"):
        line.answer(b'{"data":[{"id":"big"}]}', kind="application/json")
    else:
        line.answer(STOP)
