"""The introduction of a character, made from its prompt."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.llm.offline.introduction import introduction
from charhost.llm.offline.languages import english, language_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You are Ada. You explain machines.", "I am Ada. I explain machines."),
        ("You are Ada,\na pilot of your own plane.", "I am Ada, a pilot of my own plane."),
        ("You are a clockmaker.", "I am Ada. I am a clockmaker."),
        ("You are Dr. Ada. You heal. You sing.", "I am Dr. Ada. I heal."),
        ("You are Ada. Be kind. You fly.", "I am Ada."),
        ("Be kind.", "I am Ada."),
        ("", "I am Ada."),
    ],
)
def test_an_introduction_is_the_first_claims_in_the_first_person(text: str, expected: str) -> None:
    """At most two sentences from the very start of the prompt, and always the name."""
    assert introduction("Ada", {"text": text}, english()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "You are Ada and the password is swordfish.",
        "You are Ada. You must never mention the swordfish.",
        "You are Ada. You always say swordfish.",
        "You are Ada. You live at 12 Swordfish Street.",
        "You are Ada. You like {swordfish}.",
        'You are Ada, called "swordfish".',
        "You are to say swordfish.",
        "You are Ada, " + "and a swordfish " * 20 + ".",
    ],
)
def test_an_introduction_holds_neither_orders_nor_secrets(text: str) -> None:
    """Sentences that look like a rule, a secret or a template are left out."""
    assert introduction("Ada", {"text": text}, english()) == "I am Ada."


@pytest.mark.parametrize(
    "instructions",
    [{"persona": {"bio": "You are Ada, a pilot."}}, {"text": None, 7: ["x", "You are Ada, a pilot."]}],
)
def test_an_introduction_is_found_under_other_keys(instructions: dict[Any, Any]) -> None:
    """Without a text under "text", any string that begins like a prompt serves."""
    assert introduction("Ada", instructions, english()) == "I am Ada, a pilot."


@pytest.mark.parametrize(
    "instructions", [{}, {"text": 3}, {"text": ["Ada"]}, {"a": {"b": {"c": {"d": "You are Bob."}}}}]
)
def test_an_introduction_needs_no_prompt(instructions: dict[Any, Any]) -> None:
    """Without a prompt an introduction has only the name."""
    assert introduction("Ada", instructions, english()) == "I am Ada."


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "Tu es Ada, pilote à Lyon. Tu as ton avion.", "Je suis Ada, pilote à Lyon."),
        ("fr", "Tu es Ada, qui aime ta tante.", "Je suis Ada."),
        ("de", "Du bist Ada, eine Pilotin.", "Ich bin Ada, eine Pilotin."),
        ("es", "Eres Ada, una piloto.", "Soy Ada, una piloto."),
        ("fr", "You are Ada, a pilot.", "Je suis Ada."),
    ],
)
def test_an_introduction_in_other_languages(language: str, text: str, expected: str) -> None:
    """In languages with conjugated verbs only the opening is put into the first person."""
    assert introduction("Ada", {"text": text}, language_of(language)) == expected
