"""A pipeline of Pipecat with its OpenAI realtime service and audio: asks by voice, and interrupts the answer."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

from tests.e2e.programs.speech import QUESTION, RATE, STOP, report, spoken


class Listener(FrameProcessor):  # type: ignore[misc]
    """Keeps what the service hears and says."""

    def __init__(self) -> None:
        super().__init__()
        self.sound: asyncio.Queue[int] = asyncio.Queue()
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.interrupted: asyncio.Queue[bool] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self._said = ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.sound.put_nowait(len(frame.audio))
        elif isinstance(frame, TTSTextFrame):
            self._said += frame.text
        elif isinstance(frame, TranscriptionFrame):
            self.heard.put_nowait(frame.text)
        elif isinstance(frame, InterruptionFrame):
            self.interrupted.put_nowait(True)
        elif isinstance(frame, LLMFullResponseEndFrame):
            self.ended.put_nowait(self._said)
            self._said = ""
        await self.push_frame(frame, direction)


class Ears(FrameProcessor):  # type: ignore[misc]
    """Keeps the transcripts, which the service sends up the pipeline."""

    def __init__(self, heard: asyncio.Queue[str]) -> None:
        super().__init__()
        self._heard = heard

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self._heard.put_nowait(frame.text)
        await self.push_frame(frame, direction)


async def main(url: str) -> None:
    settings = OpenAIRealtimeLLMService.Settings(model="Ada", session_properties=events.SessionProperties())
    address = url.replace("http", "ws", 1) + "/v1/realtime"
    service = OpenAIRealtimeLLMService(api_key="unused", base_url=address, settings=settings)
    listener = Listener()
    worker = PipelineWorker(Pipeline([Ears(listener.heard), service, listener]))
    worker.event_handler("on_pipeline_error")(_failed)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())

    async def say(milliseconds: int) -> None:
        await worker.queue_frames([InputAudioRawFrame(piece, RATE, 1) for piece in spoken(milliseconds)])

    await worker.queue_frames([LLMContextFrame(LLMContext())])
    await say(QUESTION)
    report(heard=await listener.heard.get(), sound=await listener.sound.get())
    await say(STOP)
    heard = await listener.heard.get()
    said = await listener.ended.get()
    while "Yes." not in said:
        said = await listener.ended.get()
    report(heard=heard, said=said.strip())
    await worker.cancel()
    await running


async def _failed(worker: object, frame: Any) -> None:
    report(error=str(frame.error))


asyncio.run(main(sys.argv[1]))
