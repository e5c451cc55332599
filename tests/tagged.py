"""A character of which everything carries the same tag, and a model that says what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

from charhost.llm.model import Delta, ModelRequest
from tests.conftest import character
from tests.reload.helpers import Write
from tests.scripted import ScriptedModel, call, end

# Whoever creates a file with the name of a method makes that method wait until it is gone.
_METHODS = """
    def make_system_prompt(self):
        return self.tagged("prompt")

    def handle_tool_call(self, tool_name, tool_input):
        return self.tagged("tool")

    def tagged(self, method):
        import time
        from pathlib import Path

        gate = Path(__file__).parent.parent / method
        while gate.exists():
            gate.with_suffix(".reached").touch()
            time.sleep(0.001)
        from characters._{stem} import TAG as LATER

        return f"{{TAG}} {{self.instructions['text']}} {{LATER}}"
"""


def edit(write: Write, tag: str, name: str = "Ada") -> None:
    """Make all of a character anew: its text, its tool, its helper, and what it imports late."""
    tool = {"name": f"ask_{tag}", "parameters": {"type": "object", "properties": {}}}
    stem = name.lower()
    tools = f"TOOLS = [{{'type': 'function', 'function': {tool}}}]"
    write(f"_{stem}.py", f"TAG = {tag!r}\n")
    source = tools + character(name, tag) + _METHODS.format(stem=stem)
    write(f"{stem}.py", f"from characters._{stem} import TAG\n{source}")


def tags(request: ModelRequest) -> set[str]:
    """The tags of all that a model was sent of a character: its prompt, its tools and their results."""
    found = {tool["function"]["name"].removeprefix("ask_") for tool in request.tools}
    for message in request.messages:
        if message["role"] == "system":
            found.update(message["content"].split())
    for message in reversed(request.messages):  # those of earlier turns may be of earlier versions
        if message["role"] == "user":
            break
        found.update(message["content"].split() if message["role"] == "tool" else ())
    return found


class Gate:
    """Makes a method of a tagged character wait."""

    def __init__(self, directory: Path, method: str) -> None:
        self._file = directory.parent / method
        self._file.touch()

    async def reached(self) -> None:
        """Wait until the method waits."""
        async with asyncio.timeout(20):
            while not self._file.with_suffix(".reached").exists():
                await asyncio.sleep(0.001)

    def open(self) -> None:
        """Let it go on."""
        self._file.unlink()


class Echo(ScriptedModel):
    """Calls the tool of a tagged character, and then says the tags of all that it was sent in this turn, as JSON."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        if request.messages[-1]["role"] != "tool":
            yield call(request.tools[0]["function"]["name"])
            yield end("tool_calls")
            return
        await asyncio.sleep(0)
        yield Delta(json.dumps(sorted(tags(request))))
        yield end()
