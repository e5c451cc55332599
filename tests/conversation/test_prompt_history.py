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


def test_sets_of_one_directory_have_prompts_of_their_own() -> None:
    """A generation of a set is not that of another one with the same files."""
    kept, one = PromptHistory(), make_character()
    other = replace(one, set="gaming")
    kept.record(one, "Teach.")
    kept.record(replace(one, generation=2), "Teach well.")
    kept.record(other, "Play.")
    assert (kept.find(one, 1), kept.find(other, 1)) == ("Teach.", "Play.")
    assert kept.versions(other) == [1]


def test_a_set_that_begins_again_has_no_earlier_prompts() -> None:
    """Those of the set that had its name are dropped, with their letters, and those of others stay."""
    kept, one = PromptHistory(), make_character()
    other = replace(one, set="gaming")
    for character in (one, other, replace(other, generation=2)):
        kept.record(character, "x")
    kept.forget("gaming")
    assert (kept.versions(one), kept.versions(other), kept._size) == ([1], [], 1)


def test_other_code_in_a_known_generation_is_that_of_another_set() -> None:
    """A generation that comes with another fingerprint belongs to a later set of the name, and so does the rest."""
    kept, old = PromptHistory(), make_character()
    kept.record(old, "old")
    kept.record(replace(old, generation=2), "old")
    new = replace(old, fingerprint="sha256:2")
    kept.record(new, "new")
    assert (kept.find(new, 1), kept.versions(new)) == ("new", [1])
