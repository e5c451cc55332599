"""LiteLLM: its chat completions, and with `responses` as the second argument its Responses API."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # else it asks the internet

import litellm

from tests.e2e.programs.steps import serve, weather

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION: dict[str, Any] = {"name": "get_weather", "description": "Return the weather.", "parameters": PARAMETERS}


class Chat:
    def __init__(self, url: str) -> None:
        self.server: dict[str, Any] = {"api_base": f"{url}/v1", "api_key": "unused"}
        self.messages: list[Any] = []

    def begin(self) -> None:
        self.messages = []

    def models(self) -> list[str]:
        return [*litellm.get_valid_models(check_provider_endpoint=True, custom_llm_provider="openai", **self.server)]

    async def say(self, text: str, model: str = "Ada") -> str:
        self.messages.append({"role": "user", "content": text})
        while (message := await self._message(model)).tool_calls:
            self._call(message.tool_calls)
        return str(message.content)

    async def stream(self, text: str) -> list[str]:
        self.messages.append({"role": "user", "content": text})
        stream = await self._complete("Ada", stream=True)
        pieces = [piece async for chunk in stream if (piece := chunk.choices[0].delta.content)]
        self.messages.append({"role": "assistant", "content": "".join(pieces)})
        return pieces

    async def _message(self, model: str) -> Any:
        message = (await self._complete(model)).choices[0].message
        self.messages.append(message)
        return message

    async def _complete(self, model: str, **more: Any) -> Any:
        tools = [{"type": "function", "function": FUNCTION}]
        request = {"model": f"openai/{model}", "messages": self.messages, "tools": tools}
        return await litellm.acompletion(**request, **more, **self.server)

    def _call(self, calls: list[Any]) -> None:
        for call in calls:
            content = weather(**json.loads(call.function.arguments))
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


class Responses(Chat):
    def begin(self) -> None:
        self.previous: str | None = None

    async def say(self, text: str, model: str = "Ada") -> str:
        response = await self._respond([{"role": "user", "content": text}], model)
        while calls := [item for item in response.output if item.type == "function_call"]:
            response = await self._respond([self._output(call) for call in calls], model)
        return str(response.output[-1].content[0].text)

    async def stream(self, text: str) -> list[str]:
        events = [event async for event in await self._create(text, "Ada", stream=True)]
        self.previous = events[-1].response.id
        return [event.delta for event in events if event.type == "response.output_text.delta"]

    async def _respond(self, items: list[dict[str, Any]], model: str) -> Any:
        response = await self._create(items, model)
        self.previous = response.id
        return response

    async def _create(self, items: object, model: str, **more: Any) -> Any:
        request = {"model": f"openai/{model}", "input": items, "previous_response_id": self.previous}
        return await litellm.aresponses(tools=[{"type": "function", **FUNCTION}], **request, **more, **self.server)

    def _output(self, call: Any) -> dict[str, Any]:
        output = weather(**json.loads(call.arguments))
        return {"type": "function_call_output", "call_id": call.call_id, "output": output}


serve((Responses if "responses" in sys.argv else Chat)(sys.argv[1]))
