"""The character, or the error, of a source text."""

from __future__ import annotations

from types import ModuleType

import pytest

from charhost.character.character import Character, LoadedModules
from charhost.character.validation import character_in
from charhost.errors import ValidationError
from tests.conftest import character

TOOL = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
HANDLER = "class PromptGenerator(PromptGenerator):\n    def handle_tool_call(self, tool_name, tool_input): ...\n"


def character_of(source: str) -> Character:
    """Return the character that a file with that source defines."""
    module = ModuleType("ada")
    exec(compile(source, "ada.py", "exec", dont_inherit=True), vars(module))
    return character_in(
        vars(module).get,
        lambda: source,
        file="ada.py",
        location="/characters/ada.py",
        fingerprint="sha256:1",
        generation=3,
        modules=LoadedModules(),
    )


def error_of(source: str) -> ValidationError:
    """Return the error of a file with that source."""
    with pytest.raises(ValidationError) as caught:
        character_of(source)
    return caught.value


def error_of_line(line: str) -> str:
    """Return the text of the error of a good file with one wrong line at its end."""
    error = error_of(f"{character()}{line}")
    assert error.line == character().count("\n") + 1
    return str(error)
