"""The sentences of reports and of the log."""

import logging
from collections.abc import Sequence

from charhost.errors import DirectoryError, IsolatedLoadFailed, LoadTimeout, ReloadCode, ThreadsExhausted
from charhost.report import DEFAULT_SET, Changes, ReloadReport
from charhost.text import Lines, one_line

log = logging.getLogger("charhost.reload")

GIVEN_UP = "The reload was given up: it was not done when its time was over."

# Names of one kind in a line of the log.
_MOST_NAMES = 5


def count(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural if need be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def not_kept(generation: int | None, kept: Sequence[int]) -> str:
    """Return why there is no set to restore, and the generations that could be."""
    others = ", ".join(map(str, kept))
    if generation is None:
        before = "There is no generation before the current one"
        return f"{before}; name one of those that are kept: {others}." if kept else f"{before}, and no other is kept."
    return f"Generation {generation} is not kept; " + (f"those that are: {others}." if kept else "none is.")


def none_loaded(directory: str, failed: int) -> str:
    why = f"{count(failed, 'character file')} failed" if failed else "there are no character files in it"
    return f"No character could be loaded from {directory}: {why}."


def not_all_loaded(directory: str, failed: int) -> str:
    return f"{count(failed, 'character file')} in {directory} failed, so nothing was changed."


def why_refused(error: BaseException, directory: str, deadline: float) -> tuple[ReloadCode, str]:
    """Return the code and the message of an *error* that ended the load of *directory*."""
    match error:
        case DirectoryError():
            return error.code, str(error)
        case IsolatedLoadFailed():
            failed = count(len(error.errors), "character file")
            text = f"Nothing was changed: {failed} in {directory} crashed or hung in the isolated check."
            return ReloadCode.ISOLATED_LOAD_FAILED, text
        case ThreadsExhausted():
            return ReloadCode.LOAD_TIMEOUT, f"Loading {directory} was {error}."
        case TimeoutError() | LoadTimeout():
            return ReloadCode.LOAD_TIMEOUT, f"Loading {directory} took longer than {deadline:g} s (--load-deadline)."
        case _:
            return ReloadCode.INTERNAL_ERROR, f"Unexpected error during reload: {type(error).__name__}"


def write_log(report: ReloadReport, *, is_fault: bool = True) -> None:
    """Write one line for the reload, and one for each file that failed.

    That it did not come to an end is no *fault* where other nodes of a fleet were first, or have decided so.
    """
    for error in report.errors:
        log.warning("character file not loaded: %s%s", error, Lines(f"\n{error.traceback}" if error.traceback else ""))
    log.log(
        logging.INFO if report.success or not is_fault else logging.ERROR,
        "character reload%s %s (%s, %s): %s; %d of %d files failed; %s; "
        "%d of %d sessions notified; generation %d, %.3f s",
        "" if report.set == DEFAULT_SET else f" of {report.set}",
        report.outcome if is_fault else "not carried out",
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
    kinds = {"added": changes.added, "removed": changes.removed, "modified": changes.modified}
    parts = [f"{kind} {_list(names)}" for kind, names in kinds.items() if names]
    return ", ".join([*parts, f"{changes.unchanged} unchanged"])


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"
