"""Fixtures of tests of sessions."""

from tests.event_tap import event_tap

__all__ = ["event_tap"]
