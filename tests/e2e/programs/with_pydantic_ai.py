"""Pydantic AI: chat completions, and with `responses` as the second argument the Responses API."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.e2e.programs.steps import serve, weather


class Answer(BaseModel):
    city: str = "Rome"


def get_weather(city: str) -> str:
    """Return the weather."""
    return weather(city)


class Program:
    def __init__(self, url: str, uses_responses: bool) -> None:
        self.provider = OpenAIProvider(base_url=f"{url}/v1", api_key="unused")
        self.kind = OpenAIResponsesModel if uses_responses else OpenAIChatModel
        self.messages: list[Any] = []

    def begin(self) -> None:
        self.messages = []

    async def models(self) -> list[str]:
        return [model.id async for model in self.provider.client.models.list()]

    async def say(self, text: str, model: str = "Ada") -> str:
        result = await self._agent(model).run(text, message_history=self.messages)
        self.messages = result.all_messages()
        return str(result.output)

    async def stream(self, text: str) -> list[str]:
        async with self._agent("Ada").run_stream(text, message_history=self.messages) as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        self.messages = result.all_messages()
        return pieces

    async def structured(self, text: str) -> Any:
        agent = Agent(self.kind("Ada", provider=self.provider), output_type=Answer)
        return (await agent.run(text)).output.model_dump()

    def _agent(self, model: str) -> Any:
        return Agent(self.kind(model, provider=self.provider), tools=[get_weather])


serve(Program(sys.argv[1], "responses" in sys.argv))
