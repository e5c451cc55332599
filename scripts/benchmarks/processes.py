"""The measured servers: child processes on free ports."""

import asyncio
import os
import secrets
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

# Below the ports that outgoing connections have (ip(7), `ip_local_port_range`): a free one of those may be taken before
# the server starts, and a connection to one may even be to itself.
_PORTS = range(20_000, 32_000)
_START = 300.0  # seconds


def free_port() -> int:
    """Return a port that no server listens on."""
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@asynccontextmanager
async def python(
    *arguments: str,
    port: int,
    log: Path = Path(os.devnull),
    checkout: Path | None = None,
    interpreter: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run `python ARGUMENTS` until the end of the block, which begins when it accepts connections on *port*.

    It is this interpreter, in this folder, or those of *checkout*, or another *interpreter*.
    Its standard error goes to *log*. Raises `ChildProcessError` if it ends before.
    """
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(interpreter or interpreter_of(checkout), *arguments),
            cwd=checkout,
            env=os.environ | {"CHARHOST_LLM_URL": "none"} | dict(environment or {}),
            stdout=DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(_START):
            while not await _accepts_connections(port):
                if process.returncode is not None:
                    raise ChildProcessError(f"{' '.join(arguments)} does not start: {log.read_text()[-2000:]}")
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def interpreter_of(checkout: Path | None) -> str:
    """Return the interpreter of a checkout; this one if there is none, or it has none."""
    own = checkout / ".venv/bin/python" if checkout is not None else None
    return str(own) if own is not None and own.exists() else sys.executable


def processor_clock(process: int) -> int:
    """Return the clock of the processor time of a process, for `time.clock_gettime`, as clock_getcpuclockid(3) does."""
    return ~process << 3 | 2


def memory(process: Process, field: str) -> int:
    """Return the bytes of a field in the status of a process (proc(5))."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


async def _accepts_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
