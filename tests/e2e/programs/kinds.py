"""The programs, each with the packages that it needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.environments import node_modules, python_with

PROGRAMS = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """A program: the packages it needs, its file, and what it does not have."""

    name: str
    packages: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return "-".join((self.name.removeprefix("with_"), *self.arguments))

    def command(self, url: str) -> tuple[str, ...]:
        if not self.packages:  # it runs with what the tests have
            return (sys.executable, "-m", f"tests.e2e.programs.{self.name}", url, *self.arguments)
        return (str(python_with(*self.packages)), "-m", f"tests.e2e.programs.{self.name}", url, *self.arguments)


class NodeKind(Kind):
    def command(self, url: str) -> tuple[str, ...]:
        # Node looks for packages beside the file and above it.
        modules = node_modules(*self.packages)
        file = modules.parent / f"{self.name}.mjs"
        file.write_text((PROGRAMS / file.name).read_text())
        return ("node", str(file), url, *self.arguments)


RESPONSES = ("responses",)
REALTIME = ("realtime",)
LIVEKIT = ("livekit-agents[openai]",)
PIPECAT = ("pipecat-ai[openai]",)
PYDANTIC_AI = ("pydantic-ai-slim[openai]",)
AI_SDK = ("ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible", "zod")
KINDS = (
    Kind("with_openai_agents", (), lacks=("structured",)),
    Kind("with_openai_agents", (), RESPONSES, lacks=("structured",)),
    Kind("with_litellm", ("litellm",), lacks=("structured",)),
    Kind("with_litellm", ("litellm",), RESPONSES, lacks=("structured",)),
    Kind("with_langchain", ("langchain-openai",), lacks=("models",)),
    Kind("with_langchain", ("langchain-openai",), RESPONSES, lacks=("models",)),
    Kind("with_pydantic_ai", PYDANTIC_AI),
    Kind("with_pydantic_ai", PYDANTIC_AI, RESPONSES),
    Kind("with_llm", ("llm",), lacks=("models", "structured")),
    Kind("with_llm", ("llm",), RESPONSES, lacks=("models", "structured")),
    NodeKind("with_ai_sdk", AI_SDK, lacks=("models",)),
    NodeKind("with_ai_sdk", AI_SDK, RESPONSES, lacks=("models",)),
    NodeKind("with_ai_sdk", AI_SDK, ("compatible",), lacks=("models",)),
    Kind("with_livekit", LIVEKIT, lacks=("models", "structured")),
    Kind("with_livekit", LIVEKIT, REALTIME, lacks=("models", "structured", "stream")),
    Kind("with_pipecat", PIPECAT, lacks=("models", "structured")),
    Kind("with_pipecat", PIPECAT, REALTIME, lacks=("models", "structured")),
)
