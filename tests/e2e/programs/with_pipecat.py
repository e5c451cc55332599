"""A pipeline of Pipecat: its LLM service, and with `realtime` as the second argument its realtime service."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import Frame, LLMFullResponseEndFrame, LLMMessagesAppendFrame, LLMTextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

from tests.e2e.programs.steps import serve, weather

WEATHER = FunctionSchema("get_weather", "Return the weather.", {"city": {"type": "string"}}, ["city"])


class Listener(FrameProcessor):  # type: ignore[misc]
    """Collects the pieces of a response until its end; a response that only calls a tool has none."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMTextFrame):
            self.pieces.append(frame.text)
        if isinstance(frame, LLMFullResponseEndFrame) and self.pieces:
            self.ended.put_nowait("")
        await self.push_frame(frame, direction)


class Program:
    def __init__(self, url: str, is_realtime: bool) -> None:
        self.url = url
        self.is_realtime = is_realtime
        self.running: asyncio.Task[None] | None = None
        self.worker: Any = None

    async def begin(self, model: str = "Ada") -> None:
        if self.running is not None:
            await self.worker.cancel()
            await self.running
        self.said = 0
        self.service = self._realtime(model) if self.is_realtime else self._chat(model)
        self.service.register_function("get_weather", self._run_tool)
        context = LLMContext(tools=ToolsSchema(standard_tools=[WEATHER]))
        pair = LLMContextAggregatorPair(context, realtime_service_mode=self.is_realtime)
        self.listener = Listener()
        self.worker = PipelineWorker(Pipeline([pair.user(), self.service, self.listener, pair.assistant()]))
        self.worker.event_handler("on_pipeline_error")(self._failed)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self.running = asyncio.create_task(runner.run())

    async def say(self, text: str, model: str = "Ada") -> str:
        return "".join(await self.stream(text, model))

    async def stream(self, text: str, model: str = "Ada") -> list[str]:
        if model != "Ada":
            await self.begin(model)
        self.listener.pieces = []
        self.said += 1
        if self.is_realtime and self.said > 1:  # from then on it expects speech
            await self._send(text)
        else:
            message: Any = {"role": "user", "content": text}
            await self.worker.queue_frames([LLMMessagesAppendFrame([message], run_llm=True)])
        if error := await self.listener.ended.get():
            raise RuntimeError(error)
        return self.listener.pieces

    async def _send(self, text: str) -> None:
        part = events.ItemContent(type="input_text", text=text)
        item = events.ConversationItem(type="message", role="user", content=[part])
        await self.service.send_client_event(events.ConversationItemCreateEvent(item=item))
        properties = events.ResponseProperties(output_modalities=["text"])
        await self.service.send_client_event(events.ResponseCreateEvent(response=properties))

    async def _run_tool(self, params: Any) -> None:
        await params.result_callback(weather(**params.arguments))

    async def _failed(self, worker: object, frame: Any) -> None:
        self.listener.ended.put_nowait(str(frame.error))

    def _chat(self, model: str) -> Any:
        settings = OpenAILLMService.Settings(model=model)
        return OpenAILLMService(api_key="unused", base_url=f"{self.url}/v1", settings=settings)

    def _realtime(self, model: str) -> Any:
        properties = events.SessionProperties(output_modalities=["text"])
        settings = OpenAIRealtimeLLMService.Settings(model=model, session_properties=properties)
        address = self.url.replace("http", "ws", 1) + "/v1/realtime"
        return OpenAIRealtimeLLMService(api_key="unused", base_url=address, settings=settings)


serve(Program(sys.argv[1], "realtime" in sys.argv))
