"""One run of the process of an engine."""

import asyncio
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from charhost.settings import keyless_environment
from charhost.speech.embedded.frames import Message, frame, receive
from charhost.text import one_line

log = logging.getLogger("charhost.speech")

Result = TypeVar("Result")

# The models of the first start are read from a cold disk.
_START_DEADLINE = 120.0
_LONGEST_LINE = 1 << 16


class ProcessLost(Exception):
    """The process has ended, was silent for too long, or has sent bytes that are no message; the text is the reason."""


class EngineProcess:
    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._input = process.stdin
        self._output = process.stdout
        self._ended = asyncio.create_task(process.wait())
        self._lines = asyncio.create_task(_logged(process.stderr))

    async def ready(self) -> None:
        """Wait until the engine has loaded its model; raises `ProcessLost`."""
        message = await self.receive(_START_DEADLINE)
        if "ready" not in message:
            raise ProcessLost(str(message.get("error", "sent no sign that it is ready")))

    def send(self, message: Message) -> None:
        # Not drained: there is one job at a time, and a process that takes none of it is found by its silence.
        self._input.write(frame(message))

    async def receive(self, patience: float) -> Message:
        """Return the next message; raises `ProcessLost`, also after *patience* seconds of silence."""
        try:
            async with asyncio.timeout(patience):
                return await receive(self._output)
        except TimeoutError:
            raise ProcessLost(f"has sent nothing for {patience:g} s") from None
        except EOFError:
            raise ProcessLost(f"has ended with status {await self._ended}") from None
        except (OSError, ValueError) as e:
            raise ProcessLost(f"has sent bytes that are no message: {e}") from e

    async def unless_ended(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of *work*; raises `ProcessLost` if the process ends before."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait((task, self._ended), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ProcessLost(f"has ended with status {self._ended.result()}")
            return task.result()
        finally:
            task.cancel()

    async def close(self) -> None:
        self._input.close()
        with suppress(OSError):
            await self._input.wait_closed()
        await self._ended
        await self._lines


@asynccontextmanager
async def running(command: Sequence[str]) -> AsyncIterator[EngineProcess]:
    """Start the process of an engine, and kill it at the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=_LONGEST_LINE,
        env=keyless_environment() | {"HF_HUB_OFFLINE": "1"},
        start_new_session=True,  # a Ctrl-C is for the server, which ends its engines last
    )
    engine = EngineProcess(process)
    try:
        yield engine
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(engine.close())


async def _logged(stream: asyncio.StreamReader) -> None:
    """Log the standard error of the engine's libraries."""
    with suppress(ValueError):  # a line that is longer than the limit
        async for line in stream:
            log.debug("%s", one_line(line.decode(errors="replace")))
