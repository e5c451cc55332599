"""Warnings to an author about what loads, and will probably not do what was meant."""

from __future__ import annotations

from charhost.conversation.prompt_warnings import prompt_warnings
from tests.scripted import ScriptedModel, Tool, make_character, tool


class Reticent(ScriptedModel):
    """A model whose server must not be asked for its context length."""

    async def context_length(self) -> int:
        raise AssertionError


def model_of(length: int | None) -> ScriptedModel:
    model = ScriptedModel()
    model.length = length
    return model


async def warnings(prompt: str, length: int | None = None, *tools: Tool) -> list[str]:
    return await prompt_warnings(make_character(tools=tools), prompt, model_of(length))


async def test_good_character_has_no_warning() -> None:
    """A short prompt with a plain tool is fine, and the model's server is not asked."""
    character = make_character(tools=[tool("roll", sides={"type": "integer"})])
    assert await prompt_warnings(character, "Be kind.", Reticent()) == []


async def test_empty_prompt_is_reported() -> None:
    """White space is no prompt."""
    assert await warnings(" \n") == ["The prompt is empty: the model does not learn who the character is."]


async def test_prompt_of_more_than_half_the_context_is_reported() -> None:
    """The prompt and its tools may take half of the context; an unknown length is no reason to warn."""
    text = "a" * 8_000
    assert await warnings(text, 4_096) == []
    (warning,) = await warnings(text, 3_000)
    assert warning == "The prompt and its tools take about 2,001 of the 3,000 tokens of the model's context."
    assert await warnings(text, None) == []


async def test_pattern_that_is_not_checked_is_reported() -> None:
    """A tool whose arguments cannot be checked in linear time is named."""
    (warning,) = await warnings("Be kind.", None, tool("roll", word={"type": "string", "pattern": "(?=a)b"}))
    assert warning.startswith("The tool roll is called with arguments that are not fully checked: the pattern")
