"""LangChain's ChatOpenAI: chat completions, and with `responses` as the second argument the Responses API."""

from __future__ import annotations

import sys
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.e2e.programs.steps import serve, weather


@tool  # type: ignore[untyped-decorator]
def get_weather(city: str) -> str:
    """Return the weather."""
    return weather(city)


class Program:
    def __init__(self, url: str, uses_responses: bool) -> None:
        self.options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": "unused", "max_retries": 0}
        self.options["use_responses_api"] = uses_responses
        self.messages: list[Any] = []

    def begin(self) -> None:
        self.messages = []

    async def say(self, text: str, model: str = "Ada") -> str:
        self.messages.append(HumanMessage(text))
        while (message := await self._message(model)).tool_calls:
            for call in message.tool_calls:
                self.messages.append(await get_weather.ainvoke(call))
        return str(message.text)

    async def stream(self, text: str) -> list[str]:
        self.messages.append(HumanMessage(text))
        whole = AIMessageChunk(content="")
        pieces = []
        async for chunk in self._model("Ada").astream(self.messages):
            whole += chunk
            pieces += [chunk.text] if chunk.text else []
        self.messages.append(whole)
        return pieces

    async def structured(self, text: str) -> Any:
        model = self._chat("Ada").with_structured_output(get_weather.get_input_jsonschema(), method="function_calling")
        return await model.ainvoke(text)

    async def _message(self, model: str) -> Any:
        message = await self._model(model).ainvoke(self.messages)
        self.messages.append(message)
        return message

    def _model(self, name: str) -> Any:
        return self._chat(name).bind_tools([get_weather])

    def _chat(self, name: str) -> Any:
        return ChatOpenAI(model=name, **self.options)


serve(Program(sys.argv[1], "responses" in sys.argv))
