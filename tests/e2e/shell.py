"""A shell that is typed into, as a newcomer does with the lines of a page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import ENVIRONMENT, PATIENCE


@dataclass
class Shell:
    """A shell with jobs."""

    process: asyncio.subprocess.Process

    async def type(self, line: str) -> tuple[int, str]:
        """Return the exit status of a line and what is printed meanwhile, once the job that it starts listens."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f'{line}\necho "exit status $?"\n'.encode())
        printed = ""
        while (found := re.search(r"exit status (\d+)\n", printed)) is None:
            read = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
            assert read, printed
            printed += read.decode()
        command = line.partition("#")[0].rstrip()
        if command.endswith("&") and (port := re.search(r" (?:-p|--port) (\d+)", command)):
            await _listening(int(port[1]))
        return int(found[1]), printed

    async def end(self) -> None:
        """Kill all jobs."""
        await self.type("kill -9 $(jobs -p)")
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def shell(directory: Path, **environment: str) -> AsyncIterator[Shell]:
    """Run a shell in a directory until the end of the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "--noprofile"),
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
        env=ENVIRONMENT | environment,
        start_new_session=True,
    )
    typed = Shell(process)
    try:
        await typed.type("set -m")
        yield typed
    finally:
        await typed.end()


async def _listening(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
