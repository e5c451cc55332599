"""The languages of the stand-in: its patterns and phrases, read from `phrases/*.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

# Kinds that count in any sentence; for the others the last sentence is tried first.
URGENT = ("danger", "ai")
# Kinds that reveal little about a message: any other is likelier.
GENERAL = ("question", "greeting")

Rules = tuple[tuple[str, re.Pattern[str]], ...]


class Language:
    """One language: `phrases` by kind, `mark`, which is part of each phrase that states that no model is connected.

    Patterns are compiled on first use.
    """

    def __init__(self, code: str, table: Mapping[str, Any]) -> None:
        self.code = code
        self.table = table
        self.mark: str = table["mark"]
        self.i_am: str = table["introduction"]["i_am"]
        self.private: Sequence[str] = table["introduction"]["private"]
        self.phrases: dict[str, tuple[str, ...]] = {kind: tuple(every) for kind, every in table["phrases"].items()}

    def kinds(self, sentence: str) -> Iterator[tuple[str, re.Match[str]]]:
        for kind, pattern in self._rules:
            if match := pattern.search(sentence):
                yield kind, match

    @cached_property
    def patterns(self) -> Rules:
        return tuple((kind, compiled(text, re.IGNORECASE)) for kind, text in self.table["patterns"].items())

    @cached_property
    def named(self) -> re.Pattern[str]:
        return compiled(self.table["named"])

    @cached_property
    def you_are(self) -> re.Pattern[str]:
        return compiled(self.table["introduction"]["you_are"])

    @cached_property
    def still_you(self) -> re.Pattern[str] | None:
        pattern = self.table["introduction"].get("still_you")
        return compiled(pattern) if pattern else None

    @cached_property
    def _rules(self) -> Rules:
        both = self.patterns if self.code == "en" else (*self.patterns, *english().patterns)
        return tuple(rule for rule in both if rule[0] in self.phrases)


@cache
def languages() -> Mapping[str, Language]:
    """Return all languages by their code of two letters."""
    tables = {path.name[:2]: path.read_text("utf-8") for path in (files(__package__) / "phrases").iterdir()}
    return {code: Language(code, tomllib.loads(table)) for code, table in tables.items()}


def english() -> Language:
    return languages()["en"]


def language_of(name: Any) -> Language:
    """Return the language with a name such as "fr-CA"; English for unknown ones."""
    found = re.match(r"\s*([a-z]{2})(?![^\W_])", name, re.IGNORECASE) if isinstance(name, str) else None
    return languages().get(found[1].lower() if found else "en", english())


def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern of a phrases file, in which line breaks and indentation do not count."""
    return re.compile("".join(map(str.lstrip, pattern.splitlines())), flags)
