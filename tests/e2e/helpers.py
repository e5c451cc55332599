"""Steps that several tests of a whole server share."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

from llmock.pytest_plugin import LLMock

LIMIT = 180.0


def may(script: str, namespaces: str = "-Urm") -> bool:
    """Return whether this machine allows a script in *namespaces* of its own, which are options of unshare(1)."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", namespaces, "sh", "-euc", f"{script}\ntrue"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


async def asked_for_models(llmock: LLMock) -> LLMock:
    """Return *llmock* when the server has asked it for its models: its scripts count all requests."""
    async with asyncio.timeout(LIMIT):
        while not llmock.requests:
            await asyncio.sleep(0.01)
    return llmock
