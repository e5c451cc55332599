"""Reports of reloads."""

from __future__ import annotations

from typing import Any

from charhost.report import ReloadReport, Serving, SessionImpact


def report(**fields: Any) -> ReloadReport:
    """A report with these fields, and unimportant others."""
    defaults = {
        "success": True,
        "directory": "/d",
        "message": "Fine.",
        "reload_id": "1",
        "outcome": "applied",
        "trigger": "http",
        "scope": "all",
        "dry_run": False,
        "reason": None,
        "generation": 1,
        "revision": "sha256:1",
        "started_at": "2026-11-22T10:00:00Z",
        "sessions": SessionImpact(policy="close"),
        "serving": Serving(generation=1, revision="sha256:1", characters=1),
    }
    return ReloadReport(**{**defaults, **fields})
