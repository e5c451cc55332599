"""Runs the tests with real servers for the default set and for a named one."""

from __future__ import annotations

from tests.web.named_set import client, set_name, start_app

__all__ = ["client", "set_name", "start_app"]
