"""What the answer and the log say of a reload, in words."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from charhost.report import Changes, ReloadReport, Trigger
from charhost.text import one_line

log = logging.getLogger("charhost.reload")

# How many names of a kind a line of the log shows.
_MOST_NAMES = 5


def count(number: int, noun: str) -> str:
    """Say how many, in words that fit the number."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def was_loaded(characters: int, directory: str) -> str:
    """Say what serves from now on."""
    return f"Successfully loaded {count(characters, 'character')} from {directory}"


def was_unchanged(characters: int, directory: str) -> str:
    """Say that what serves goes on serving."""
    verb = "serves" if characters == 1 else "serve"
    return f"No character changed in {directory}; {count(characters, 'character')} {verb} on"


def was_restored(characters: int, directory: str, generation: int, trigger: Trigger) -> str:
    """Say what serves from now on, again."""
    did = "rolled back to" if trigger == "rollback" else "resumed"
    return f"Successfully {did} generation {generation}: {count(characters, 'character')} from {directory}"


def not_kept(generation: int | None, kept: Sequence[int]) -> str:
    """Say that there is nothing to roll back to, and to what there is."""
    others = ", ".join(map(str, kept))
    if generation is None:
        before = "There is no generation before the current one"
        return f"{before}; name one of those that are kept: {others}." if kept else f"{before}, and no other is kept."
    return f"Generation {generation} is not kept; " + (f"those that are: {others}." if kept else "none is.")


def nothing_loaded(directory: str, failed: int) -> str:
    """Say why a directory gave no character at all."""
    if failed:
        return f"No character could be loaded from {directory}: {count(failed, 'character file')} failed."
    return f"No character could be loaded from {directory}: there are no character files in it."


def crashed(directory: str, failed: int) -> str:
    """Say that files did not survive an isolated check."""
    return (
        f"Nothing was changed: {count(failed, 'character file')} in {directory} ended a child process, or hung in it."
    )


def write_log(report: ReloadReport) -> None:
    """Write one line for the reload, and one for each file that failed."""
    for error in report.errors:
        log.warning("character file not loaded: %s%s", error, f"\n{error.traceback}" if error.traceback else "")
    log.log(
        logging.INFO if report.success else logging.ERROR,
        "character reload %s (%s, %s): %s; %d of %d files failed; %s; %d of %d sessions told; generation %d, %.3f s",
        report.outcome,
        report.trigger,
        report.sessions.policy,
        one_line(report.message),
        report.error_count,
        report.total_files,
        _describe(report.changes),
        report.sessions.affected,
        report.sessions.total,
        report.serving.generation,
        report.load_duration,
    )


def _describe(changes: Changes) -> str:
    """Name what changed, as far as it fits on a line."""
    kinds = {"added": changes.added, "removed": changes.removed, "modified": changes.modified}
    parts = [f"{kind} {_list(names)}" for kind, names in kinds.items() if names]
    return ", ".join([*parts, f"{changes.unchanged} unchanged"])


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"
