"""SetsView: the character sets that one caller sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from charhost.character.character import Character, CharacterSet
from charhost.errors import SetNotFound
from charhost.report import DEFAULT_SET
from charhost.sets.named_set import NamedSet


@dataclass(frozen=True, eq=False)
class FoundCharacter:
    """A character, the name of its set, and the current characters of that set."""

    set: str
    character: Character
    characters: CharacterSet

    @property
    def name(self) -> str:
        """The name by which clients choose it."""
        return full_name(self.set, self.character.name)

    @property
    def alias(self) -> str:
        return full_name(self.set, self.characters.aliases.get(self.character.name, self.character.name))


@dataclass(frozen=True, eq=False)
class SetsView:
    """The sets that one caller sees: the one place where its names are looked up, so that none hidden exists for it.

    *names* are those it sees, None for all. Bare names are of its first set, which is the default one if it sees that.
    """

    sets: Mapping[str, NamedSet]
    names: frozenset[str] | None = None

    def __iter__(self) -> Iterator[NamedSet]:
        return (named for named in self.sets.values() if self._sees(named.name))

    def narrowed(self, name: str) -> SetsView:
        """Return the view of that set alone; raises `SetNotFound`."""
        return SetsView(self.sets, frozenset({self.named(name).name}))

    def named(self, name: str | None = None) -> NamedSet:
        """Return the set of that name, by default the first one; raises `SetNotFound`."""
        found = next(iter(self), None) if name is None else self._visible(name)
        if found is None:
            raise SetNotFound(DEFAULT_SET if name is None else name)
        return found

    def find(self, name: str) -> FoundCharacter | None:
        """Return the character of that name or alias: of the first set, or `set/name` of any.

        A name of the first set wins, also one that has a slash.
        """
        first = next(iter(self), None)
        if first is not None and (found := _found(first, name)) is not None:
            return found
        prefix, _, rest = name.strip().partition("/")
        other = self._visible(prefix)
        return _found(other, rest) if other is not None else None

    def find_voice(self, path: str) -> FoundCharacter | None:
        """Return the character of the first set whose voice is that file."""
        first = next(iter(self), None)
        character = first.manager.current.by_voice.get(path) if first is not None else None
        return FoundCharacter(first.name, character, first.manager.current) if first and character else None

    def member(self, name: str, character: str) -> FoundCharacter | None:
        """Return the character of exactly that name in the set called *name*."""
        named = self._visible(name)
        found = named.manager.current.get(character) if named is not None else None
        return FoundCharacter(name, found, named.manager.current) if named and found else None

    def default(self) -> FoundCharacter | None:
        """Return the default character of the first set."""
        first = next(iter(self), None)
        character = first.default_character if first is not None else None
        return FoundCharacter(first.name, character, first.manager.current) if first and character else None

    def characters(self) -> Iterator[FoundCharacter]:
        """Yield the characters of all sets, without those whose name means another."""
        for named in self:
            current = named.manager.current
            for character in current.values():
                one = FoundCharacter(named.name, character, current)
                meant = self.find(one.name)
                if meant is not None and meant.character is character:
                    yield one

    def _sees(self, name: str) -> bool:
        return self.names is None or name in self.names

    def _visible(self, name: str) -> NamedSet | None:
        return self.sets.get(name) if self._sees(name) else None


def full_name(set_name: str, character: str) -> str:
    return character if set_name == DEFAULT_SET else f"{set_name}/{character}"


def _found(named: NamedSet, name: str) -> FoundCharacter | None:
    current = named.manager.current
    character = current.find(name)
    return FoundCharacter(named.name, character, current) if character is not None else None
