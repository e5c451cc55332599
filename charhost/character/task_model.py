"""The bare model, as a character that has no prompt and no tools."""

from typing import Any

from charhost.character.character import Character, LoadedModules, ModelChoice


class _NoPrompt:
    def __init__(self, instructions: dict[str, Any]) -> None:
        pass

    def make_system_prompt(self) -> str:
        return ""


def task_model(name: str) -> Character:
    return Character(
        name=name,
        file="",
        location="",
        voice_source={},
        instructions={},
        metadata={},
        tools=(),
        host_tools=(),
        llm=ModelChoice(),
        greetings=(),
        prompt_generator=_NoPrompt,
        fingerprint="",
        generation=0,
        modules=LoadedModules(),
    )
