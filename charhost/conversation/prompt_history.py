"""The prompts that characters made, as text."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from charhost.character.character import Character

MOST_VERSIONS = 20
MOST_LETTERS = 16 << 20


class PromptHistory:
    """Keeps the first prompt that each version of a character made; the versions are known by generation.

    Characters of one name in two sets, or in two directories of one set, have nothing in common; nor have those of a
    set and of a later one of its name, whose generations begin again.
    """

    def __init__(self) -> None:
        self._by_name: OrderedDict[_Key, dict[int, _Made]] = OrderedDict()
        self._size = 0

    def record(self, character: Character, prompt: str) -> None:
        key = _key(character)
        versions = self._by_name.setdefault(key, {})
        self._by_name.move_to_end(key)
        present = versions.get(character.generation)
        if present is not None and present.fingerprint != character.fingerprint:
            self._size -= _size(versions)
            versions.clear()
        if character.generation not in versions:
            versions[character.generation] = _Made(character.fingerprint, prompt)
            self._size += len(prompt)
        if len(versions) > MOST_VERSIONS:
            self._size -= len(versions.pop(min(versions)).prompt)
        while self._size > MOST_LETTERS and len(self._by_name) > 1:
            _, dropped = self._by_name.popitem(last=False)
            self._size -= _size(dropped)
        while self._size > MOST_LETTERS and versions:
            self._size -= len(versions.pop(min(versions)).prompt)

    def forget(self, set_name: str) -> None:
        """Drop the prompts of a set that is loaded for the first time: they are those of an earlier one."""
        for key in [key for key in self._by_name if key.set == set_name]:
            self._size -= _size(self._by_name.pop(key))

    def versions(self, character: Character) -> list[int]:
        """Return the generations with a prompt, the newest first."""
        return sorted(self._by_name.get(_key(character), ()), reverse=True)

    def find(self, character: Character, generation: int) -> str | None:
        made = self._by_name.get(_key(character), {}).get(generation)
        return made.prompt if made is not None else None


class _Key(NamedTuple):
    set: str
    directory: str
    name: str


class _Made(NamedTuple):
    fingerprint: str
    prompt: str


def _key(character: Character) -> _Key:
    return _Key(character.set, os.path.dirname(character.location), character.name)


def _size(versions: Mapping[int, _Made]) -> int:
    return sum(len(made.prompt) for made in versions.values())
