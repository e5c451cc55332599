"""The languages of the stand-in."""

from __future__ import annotations

import string
import threading
from importlib.resources import files
from typing import Any

import pytest

from charhost.llm.offline import languages as module
from charhost.llm.offline.languages import Language, english, language_of, languages, read_languages

LANGUAGES = {code: languages()[code] for code in ("en", "fr", "de", "es")}
NEEDED = {
    "notice", "greeting", "again", "danger", "ai", "prompt", "known", "lookup_me", "named", "who", "how",
    "ability", "farewell", "thanks", "facts", "question", "silence", "foreign", "fallback", "task", "result",
    "no_result", "no_tool", "tools", "no_tools", "and",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_language_has_the_required_phrases(language: Language) -> None:
    """Every language has the required kinds of phrases; a missing kind falls back to the next."""
    assert set(language.phrases) >= NEEDED
    assert len(language.phrases["tools"]) == 2
    assert len(language.phrases["fallback"]) >= 9
    assert {kind for kind, _ in language.patterns} <= set(language.phrases)


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_the_mark_stands_in_the_notices_of_a_missing_model(language: Language) -> None:
    """Exactly the phrases that mention the missing model have the mark, by which a notice is recognised."""
    marked = {kind for kind, phrases in language.phrases.items() for phrase in phrases if language.mark in phrase}
    assert marked == {"notice", "ai", "task"}
    assert all(language.mark in phrase for kind in marked for phrase in language.phrases[kind])


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_phrases_are_short_and_can_be_filled_in(language: Language) -> None:
    """Phrases are short sentences with only the known gaps."""
    every = [phrase for phrases in language.phrases.values() for phrase in phrases]
    gaps = {gap for phrase in every for _, gap, _, _ in string.Formatter().parse(phrase) if gap is not None}
    assert gaps <= {"0", "me", "name", "user", "identity", "tools", "tool", "result", "list"}
    assert all(phrase.strip() and len(phrase) <= 180 for phrase in every)


def test_no_phrase_belongs_to_two_kinds() -> None:
    """No phrase belongs to two kinds, since a conversation would repeat itself."""
    every = [phrase for phrases in english().phrases.values() for phrase in phrases]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("language", "known"),
    [
        ("fr", "fr"),
        ("FR-ca", "fr"),
        ("de_DE", "de"),
        (" es ", "es"),
        ("french", "en"),
        ("it", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_a_language_is_known_by_its_first_two_letters(language: Any, known: str) -> None:
    """A region is ignored, and English serves for the rest."""
    assert language_of(language).code == known


async def test_languages_are_read_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read from the disk once, on a thread."""
    readers: list[threading.Thread] = []

    def note(package: str) -> Any:
        readers.append(threading.current_thread())
        return files(package)

    monkeypatch.setattr(module, "files", note)
    languages.cache_clear()
    await read_languages()
    await read_languages()
    assert [reader is threading.main_thread() for reader in readers] == [False]
    assert english().code == "en"
