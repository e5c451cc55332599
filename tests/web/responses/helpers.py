"""Requests for responses, each of which OpenAI's strict models take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.conftest import Client
from tests.scripted import ScriptedModel

RESPONSES = "/v1/responses"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

Play = Callable[..., ScriptedModel]


async def create(client: Client, **fields: Any) -> Any:
    """A whole response, which the SDK's strict model takes."""
    answer = await client.post(RESPONSES, json={"model": "Ada", "input": "Hi"} | fields)
    assert answer.status == 200
    found = await answer.json()
    Response.model_validate(found, strict=True)
    return found


async def events(sdk: openai.AsyncOpenAI, **fields: Any) -> list[Any]:
    """The events of a streamed response, each of which the SDK's strict model takes."""
    fields = {"model": "Ada", "input": "Hi"} | fields
    found = [event async for event in await sdk.responses.create(stream=True, **fields)]
    for event in found:
        EVENT.validate_python(event.to_dict(), strict=True)
    assert [event.sequence_number for event in found] == list(range(len(found)))
    return found
