"""A program of OpenAI's agents: chat completions, and with `responses` as the second argument the Responses API."""

from __future__ import annotations

import sys
from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from tests.e2e.programs.steps import serve, weather

set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    """Return the weather."""
    return weather(city)


class Program:
    def __init__(self, url: str, uses_responses: bool) -> None:
        self.client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        self.kind = OpenAIResponsesModel if uses_responses else OpenAIChatCompletionsModel
        self.items: list[Any] = []

    def begin(self) -> None:
        self.items = []

    async def models(self) -> list[str]:
        return [model.id async for model in self.client.models.list()]

    async def say(self, text: str, model: str = "Ada") -> str:
        result = await Runner.run(self._agent(model), self._input(text))
        self.items = result.to_input_list()
        return str(result.final_output)

    async def stream(self, text: str) -> list[str]:
        result = Runner.run_streamed(self._agent("Ada"), self._input(text))
        raw = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        self.items = result.to_input_list()
        return [event.delta for event in raw if event.type == "response.output_text.delta"]

    def _input(self, text: str) -> list[Any]:
        return [*self.items, {"role": "user", "content": text}]

    def _agent(self, model: str) -> Agent[None]:
        chosen = self.kind(model=model, openai_client=self.client)
        return Agent(name="Test", model=chosen, tools=[get_weather])


serve(Program(sys.argv[1], "responses" in sys.argv))
