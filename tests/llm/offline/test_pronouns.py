"""Sentences about "you" become sentences about "I"."""

from __future__ import annotations

import pytest

from charhost.llm.offline.pronouns import swap

SWAPS = {
    "I am tired": "you are tired",
    "I'm sorry": "you're sorry",
    "I was happy": "you were happy",
    "I never was good at this": "you never were good at this",
    "I wasn't ready": "you weren't ready",
    "am I mad": "are you mad",
    "my brother was late": "your brother was late",
    "I've lost my keys": "you've lost your keys",
    "I hurt myself": "you hurt yourself",
    "we lost our way": "you lost your way",
    "you are kind": "I am kind",
    "you're late": "I'm late",
    "you were right": "I was right",
    "were you there": "was I there",
    "the dogs were with you": "the dogs were with me",
    "you hurt yourself": "I hurt myself",
    "you've got mine": "I've got yours",
    "yours is better than mine": "mine is better than yours",
    "you love me": "I love you",
    "I love you": "you love me",
    "I miss you so much": "you miss me so much",
    "do you like me": "do I like you",
    "I think you like me": "you think I like you",
    "I told you everything": "you told me everything",
    "I know you are there": "you know I am there",
    "he gave it to you": "he gave it to me",
    "what you said hurt me": "what I said hurt you",
    "people sit with you because you are easy to talk to": "people sit with me because I am easy to talk to",
    "the person you talk to": "the person I talk to",
    "Your hat": "My hat",
    "I’d go": "you'd go",
    "": "",
}


@pytest.mark.parametrize(("text", "turned"), SWAPS.items())
def test_you_and_i_change_places(text: str, turned: str) -> None:
    """Pronouns, possessives and their verbs turn, and "you" becomes "I" or "me" by where it stands."""
    assert swap(text) == turned
