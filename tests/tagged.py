"""A character whose parts all have the same tag, and a model that returns the tags it received."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from charhost.llm.model import Delta, ModelRequest
from tests.conftest import character
from tests.reload.helpers import Write
from tests.scripted import ScriptedModel, call, end

# A method waits as long as a file with its name exists.
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
    """Replace all parts of a character: its text, its tool, its helper, and its late import."""
    tool = {"name": f"ask_{tag}", "parameters": {"type": "object", "properties": {}}}
    stem = name.lower()
    tools = f"TOOLS = [{{'type': 'function', 'function': {tool}}}]"
    write(f"_{stem}.py", f"TAG = {tag!r}\n")
    source = tools + character(name, tag) + _METHODS.format(stem=stem)
    write(f"{stem}.py", f"from characters._{stem} import TAG\n{source}")


def tags(request: ModelRequest) -> set[str]:
    """Return the tags in a request of the model: of the prompt, the tools and their results."""
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
    """Blocks a method of a tagged character."""

    def __init__(self, directory: Path, method: str) -> None:
        self._file = directory.parent / method
        self._file.touch()

    async def reached(self) -> None:
        """Wait until the method is blocked."""
        async with asyncio.timeout(60):
            while not self._file.with_suffix(".reached").exists():
                await asyncio.sleep(0.001)

    def open(self) -> None:
        """Unblock the method."""
        self._file.unlink()


class Echo(ScriptedModel):
    """Calls the tool of a tagged character, and then returns the tags of this turn's request, as JSON."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        if request.messages[-1]["role"] != "tool":
            yield [call(request.tools[0]["function"]["name"])]
            yield [end("tool_calls")]
            return
        await asyncio.sleep(0)
        yield [Delta(json.dumps(sorted(tags(request))))]
        yield [end()]

    async def context_length(self) -> None:
        return None
