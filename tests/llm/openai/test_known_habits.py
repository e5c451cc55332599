"""How long and of which servers habits are known."""

from __future__ import annotations

import logging

import pytest

from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.known_habits import KnownHabits
from charhost.settings import Habit

ONE = Endpoint("http://one/v1")
NO_TOOLS = frozenset({Habit.NO_TOOLS})


def test_habits_belong_to_endpoint_and_model() -> None:
    """Neither another model nor another server has the habit."""
    known = KnownHabits()
    known.learn(ONE, "a", NO_TOOLS)
    assert known.of(ONE, "a") == NO_TOOLS
    assert not known.of(ONE, "b")
    assert not known.of(Endpoint("http://two/v1"), "a")


def test_64_are_known() -> None:
    """The oldest of more than 64 is forgotten."""
    known = KnownHabits()
    for number in range(65):
        known.learn(ONE, str(number), NO_TOOLS)
    assert not known.of(ONE, "0")
    assert len(known.listed()) == 64


def test_learning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A habit is logged when it is learned, and a model without tools as a warning."""
    caplog.set_level(logging.INFO)
    known = KnownHabits()
    known.learn(ONE, "a", NO_TOOLS)
    known.learn(ONE, "a", NO_TOOLS)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
