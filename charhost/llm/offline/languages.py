"""The languages of the stand-in: its patterns and phrases, read from `phrases/*.toml`."""

import asyncio
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

# Kinds that count in any sentence; for the others the last sentence is tried first.
URGENT = ("danger", "ai")
# Kinds that reveal little about a message: any other is likelier.
GENERAL = ("question", "greeting")


class Language:
    """One language: `phrases` by kind, `mark`, which is part of each phrase that states that no model is connected."""

    def __init__(self, code: str, table: Mapping[str, Any]) -> None:
        introduction = table["introduction"]
        self.code = code
        self.table = table
        self.mark: str = table["mark"]
        self.i_am: str = introduction["i_am"]
        self.you_are = pattern(introduction["you_are"])
        self.still_you = pattern(introduction.get("still_you", "(?!)"))  # nothing matches (?!)
        self.named = pattern(table["named"])
        self.patterns = [(kind, pattern(text)) for kind, text in table["patterns"].items()]
        self.phrases: Mapping[str, list[str]] = table["phrases"]

    def kinds(self, sentence: str) -> Iterator[tuple[str, re.Match[str]]]:
        patterns = self.patterns if self.code == "en" else self.patterns + english().patterns
        for kind, text in patterns:
            if kind in self.phrases and (match := re.search(text, sentence, re.IGNORECASE)):
                yield kind, match


@cache
def languages() -> Mapping[str, Language]:
    """Return all languages by their code of two letters."""
    tables = {path.name[:2]: path.read_text("utf-8") for path in (files(__package__) / "phrases").iterdir()}
    return {code: Language(code, tomllib.loads(table)) for code, table in tables.items()}


async def read_languages() -> None:
    """Read them from the disk with the first call, beside the event loop."""
    if not languages.cache_info().currsize:
        await asyncio.to_thread(languages)


def english() -> Language:
    return languages()["en"]


def language_of(name: Any) -> Language:
    """Return the language with a name such as "fr-CA"; English for unknown ones."""
    found = re.match(r"\s*([a-z]{2})(?![^\W_])", name, re.IGNORECASE) if isinstance(name, str) else None
    return languages().get(found[1].lower() if found else "en", english())


def pattern(text: str) -> str:
    """Return a pattern of a phrases file without line breaks and indentation, which do not count."""
    return "".join(map(str.lstrip, text.splitlines()))
