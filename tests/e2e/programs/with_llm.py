"""The command `llm`: chat completions, and with `responses` as the second argument the Responses API."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from tests.e2e.programs.steps import serve

TOOL = '''
def get_weather(city: str) -> str:
    """Return the weather."""
    return f"sunny in {city}"
'''


class Program:
    def __init__(self, url: str, uses_responses: bool) -> None:
        self.home = Path(tempfile.mkdtemp(dir=os.environ["HOME"]))
        entries = [
            {
                "model_id": f"charhost-{name}",
                "model_name": name,
                "api_base": f"{url}/v1",
                "supports_tools": True,
                "responses": uses_responses,
            }
            for name in ("Ada", "Nobody", "gaming/Charlotte")
        ]
        (self.home / "extra-openai-models.yaml").write_text(json.dumps(entries))  # JSON is YAML
        self.goes_on = False

    def begin(self) -> None:
        self.goes_on = False

    async def say(self, text: str, model: str = "Ada") -> str:
        return await self._prompt(text, model, "--no-stream")

    async def stream(self, text: str) -> list[str]:
        return re.findall(r"\S+\s*", await self._prompt(text, "Ada"))

    async def _prompt(self, text: str, model: str, *options: str) -> str:
        more = [*options, "--continue"] if self.goes_on else [*options]
        command = ("-m", "llm", "-m", f"charhost-{model}", "--key", "unused", "--functions", TOOL, *more, "--", text)
        pipe = asyncio.subprocess.PIPE
        environment = os.environ | {"LLM_USER_PATH": str(self.home)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
        )
        out, errors = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(errors.decode())
        self.goes_on = True
        return out.decode().strip()


serve(Program(sys.argv[1], "responses" in sys.argv))
