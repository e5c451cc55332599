"""The owner of an engine's process: it is started again when it ends, and killed when it hangs."""

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from charhost.logs.line_limit import limited
from charhost.speech.embedded.engine_process import EngineProcess, ProcessLost, running
from charhost.speech.embedded.frames import Message
from charhost.speech.failure import SpeechError
from charhost.speech.speech import EngineState
from charhost.text import one_line

log = logging.getLogger("charhost.speech")

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_MOST_WAITING = 256


@dataclass(order=True)
class _Job:
    urgency: float
    number: int
    message: Message = field(compare=False)
    patience: float = field(compare=False)
    replies: asyncio.Queue[Message | SpeechError] = field(compare=False, default_factory=asyncio.Queue)
    is_given_up: bool = field(compare=False, default=False)


class Child:
    """Owns the process of one engine and the jobs that wait for it; lives as long as the server.

    *title* is the engine in messages, *program* the file that the process runs. It has one job at a time.
    """

    def __init__(self, title: str, program: Path, *arguments: str) -> None:
        self.title = title
        self.state: EngineState = "down"
        self._command = (sys.executable, "-P", str(program), *arguments)
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._numbers = count(1)
        self._at_work: _Job | None = None
        self._process: EngineProcess | None = None
        self._is_lost = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the process, unless that was done."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._is_lost = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._fail()

    async def replies(
        self, message: Message, urgency: float = 0, patience: float = 30
    ) -> AsyncGenerator[Message, None]:
        """Yield the replies to a job; closing the generator gives the job up. Raises `SpeechError`.

        The job with the least *urgency* goes first. A process that sends nothing for *patience* seconds is killed.
        """
        if self._is_lost:
            raise SpeechError("unreachable", f"{self.title} does not run.")
        if self._jobs.qsize() >= _MOST_WAITING:
            raise SpeechError("busy", f"{self.title} has too much to do.")
        job = _Job(urgency, next(self._numbers), message, patience)
        self._jobs.put_nowait(job)
        try:
            while True:
                reply = await job.replies.get()
                if isinstance(reply, SpeechError):
                    raise reply
                if "over" in reply:
                    return
                yield reply
        finally:
            self._give_up(job)

    def _give_up(self, job: _Job) -> None:
        job.is_given_up = True
        if job is self._at_work and self._process is not None:
            self._process.send({"give_up": job.number})

    async def _run(self) -> None:
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                await self._serve()
            except (ProcessLost, OSError) as e:
                log.error("%s: %s; starting it again in %g s", self.title, one_line(e), pause)
            finally:
                self.state, self._is_lost, self._process = "down", True, None
                self._fail()
            await asyncio.sleep(pause)
            self._is_lost = False
            is_stable = loop.time() - began > 2 * _LONGEST_PAUSE
            pause = _FIRST_PAUSE if is_stable else min(2 * pause, _LONGEST_PAUSE)

    async def _serve(self) -> None:
        async with running(self._command) as process:
            await process.ready()
            self._process, self.state = process, "up"
            while True:
                job = await process.unless_ended(self._jobs.get())
                if not job.is_given_up:
                    self._at_work = job
                    await self._work(process, job)
                    self._at_work = None

    async def _work(self, process: EngineProcess, job: _Job) -> None:
        process.send({"id": job.number, **job.message})
        is_over = False
        while not is_over:
            reply = await process.receive(job.patience)
            if reply.get("id") == job.number:
                is_over = "over" in reply or "error" in reply
                job.replies.put_nowait(self._error(reply) if "error" in reply else reply)

    def _error(self, reply: Message) -> SpeechError:
        # The text may name a file of the server.
        kind, _, _ = reply["error"].partition(":")
        log.warning("%s: %s", self.title, one_line(reply["error"]), extra=limited(f"{self.title} {kind}"))
        return SpeechError("busy" if reply.get("kind") == "busy" else "refused", f"{self.title} failed.")

    def _fail(self) -> None:
        """Let every job fail."""
        error = SpeechError("unreachable", f"{self.title} has stopped.")
        jobs = [self._at_work] if self._at_work is not None else []
        self._at_work = None
        while not self._jobs.empty():
            jobs.append(self._jobs.get_nowait())
        for job in jobs:
            job.replies.put_nowait(error)
