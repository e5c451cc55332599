"""The prompts that characters made, as text."""

import os
from collections import OrderedDict

from charhost.character.character import Character

MOST_VERSIONS = 20
MOST_LETTERS = 16 << 20


class PromptHistory:
    """Keeps the first prompt that each version of a character made; the versions are known by generation.

    Characters of one name in two directories, which may belong to two sets, have nothing in common.
    """

    def __init__(self) -> None:
        self._by_name: OrderedDict[tuple[str, str], dict[int, str]] = OrderedDict()
        self._size = 0

    def record(self, character: Character, prompt: str) -> None:
        versions = self._by_name.setdefault(_key(character), {})
        self._by_name.move_to_end(_key(character))
        if character.generation not in versions:
            versions[character.generation] = prompt
            self._size += len(prompt)
        if len(versions) > MOST_VERSIONS:
            self._size -= len(versions.pop(min(versions)))
        while self._size > MOST_LETTERS and len(self._by_name) > 1:
            _, dropped = self._by_name.popitem(last=False)
            self._size -= sum(map(len, dropped.values()))
        while self._size > MOST_LETTERS and versions:
            self._size -= len(versions.pop(min(versions)))

    def versions(self, character: Character) -> list[int]:
        """Return the generations with a prompt, the newest first."""
        return sorted(self._by_name.get(_key(character), ()), reverse=True)

    def find(self, character: Character, generation: int) -> str | None:
        return self._by_name.get(_key(character), {}).get(generation)


def _key(character: Character) -> tuple[str, str]:
    return os.path.dirname(character.location), character.name
