"""Warnings to an author about the prompt and the tools of a character."""

from charhost.character.character import Character
from charhost.character.tool_schema import unenforced
from charhost.jsontext import encoded
from charhost.llm.model import Model
from charhost.llm.token_estimate import letters, tokens

# Whatever the model: a shorter prompt leaves room enough, and no model's server is asked.
_SHORT = 1000
_SHARE = 2


async def prompt_warnings(character: Character, prompt: str, model: Model) -> list[str]:
    """Return a sentence for everything that loads, and will probably not do what its author wants."""
    empty = [] if prompt.strip() else ["The prompt is empty: the model does not learn who the character is."]
    return [*empty, *await _too_long(character, prompt, model), *_unenforced(character)]


async def _too_long(character: Character, prompt: str, model: Model) -> list[str]:
    size = tokens(letters(prompt) + letters(encoded(character.tools).decode()))
    length = await model.context_length() if size > _SHORT else None
    if length is None or size <= length // _SHARE:
        return []
    return [f"The prompt and its tools take about {size:,} of the {length:,} tokens of the model's context."]


def _unenforced(character: Character) -> list[str]:
    functions = [tool["function"] for tool in character.tools]
    return [
        f"The tool {function['name']} is called with arguments that are not fully checked: {part}."
        for function in functions
        for part in unenforced(function.get("parameters", {}))
    ]
