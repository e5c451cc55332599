"""A LiveKit agent: its LLM, and with `realtime` as the second argument its realtime model."""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
from livekit.agents import Agent, AgentSession, function_tool
from livekit.plugins import openai

from tests.e2e.programs.steps import serve, weather


@function_tool  # type: ignore[untyped-decorator]
async def get_weather(city: str) -> str:
    """Return the weather."""
    return weather(city)


class Program:
    def __init__(self, url: str, is_realtime: bool) -> None:
        self.server = {"base_url": f"{url}/v1", "api_key": "unused"}
        self.is_realtime = is_realtime
        self.session: Any = None
        self.errors: list[str] = []

    async def begin(self, model: str = "Ada") -> None:
        if self.session is not None:
            await self.session.aclose()
        self.errors = []
        self.session = AgentSession(llm=self._model(model))
        self.session.on("error", lambda event: self.errors.append(str(event.error)))
        await self.session.start(Agent(instructions="Be brief.", tools=[get_weather]))

    async def say(self, text: str, model: str = "Ada") -> str:
        if model != "Ada":
            await self.begin(model)
        try:
            result = await self.session.run(user_input=text)
        except Exception as e:
            raise RuntimeError("; ".join(self.errors)) from e
        said = [event.item for event in result.events if event.type == "message" and event.item.role == "assistant"]
        if not said:
            raise RuntimeError("; ".join(self.errors))
        return str(said[-1].text_content)

    async def stream(self, text: str) -> list[str]:
        context = self.session.history.copy()
        context.add_message(role="user", content=text)
        async with self.session.llm.chat(chat_ctx=context) as stream:
            return [chunk.delta.content async for chunk in stream if chunk.delta and chunk.delta.content]

    def _model(self, name: str) -> Any:
        if not self.is_realtime:
            return openai.LLM(model=name, **self.server)
        session = aiohttp.ClientSession()  # without a job of LiveKit's there is none
        return openai.realtime.RealtimeModel(model=name, modalities=["text"], http_session=session, **self.server)


serve(Program(sys.argv[1], "realtime" in sys.argv))
