"""The prompts that characters made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from charhost.conversation import prompt_history
from charhost.conversation.prompt_history import PromptHistory
from tests.scripted import make_character


def test_long_prompts_of_a_lone_character_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the limit the earliest versions go, also where there is no other character."""
    monkeypatch.setattr(prompt_history, "MOST_LETTERS", 250)
    kept, character = PromptHistory(), make_character()
    for generation in (1, 2, 3):
        kept.record(replace(character, generation=generation), "x" * 100)
    assert kept.versions(character) == [3, 2]
