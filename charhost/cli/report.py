"""A reload report, printed for people."""

from __future__ import annotations

from charhost.cli.client import error_lines
from charhost.cli.output import mark, say
from charhost.jsontext import Json
from charhost.text import one_line

_RELOADED = "Characters reloaded successfully!"


_HEADLINES = {
    "unchanged": "Nothing has changed: the characters stay as they are.",
    "valid": "Characters are valid: nothing was changed, this was a dry run.",
}


def is_report(document: Json) -> bool:
    """Tell the report of a reload from the JSON of some other server."""
    kinds = {"directory": str, "total_files": int, "loaded_count": int, "error_count": int, "message": str}
    duration = isinstance(document.get("load_duration"), (int, float))
    return duration and all(isinstance(document.get(name), kind) for name, kind in kinds.items())


def show_report(report: Json, done: str = _RELOADED) -> None:
    """Print a report; *done* is the headline if the set was applied."""
    headline = _HEADLINES.get(str(report.get("outcome")), done)
    lines = [
        f"{mark(True)} {headline}",
        f"  Directory: {one_line(report['directory'])}",
        f"  Loaded: {report['loaded_count']}/{report['total_files']} characters",
        f"  Errors: {report['error_count']}",
        f"  Duration: {report['load_duration']:.2f}s",
        "",
        f"  {one_line(report['message'])}",
    ]
    errors = error_lines(report)
    say("\n".join(lines + [""] * bool(errors) + [f"  {line}" for line in errors]))
