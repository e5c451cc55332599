"""Steps that several tests of a whole server share."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

from llmock.pytest_plugin import LLMock

LIMIT = 180.0


def may(command: str) -> bool:
    """Return whether this machine allows a command in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-Urm", "sh", "-euc", command], capture_output=True).returncode == 0


async def asked_for_models(llmock: LLMock) -> LLMock:
    """Return *llmock* when the server has asked it for its models: its scripts count all requests."""
    async with asyncio.timeout(LIMIT):
        while not llmock.requests:
            await asyncio.sleep(0.01)
    return llmock
