"""charhost status and charhost history: the state of a running server, and its reloads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import TYPE_CHECKING, Annotated

import typer

from charhost.cli.client import Request, error_lines, perform, query_of
from charhost.cli.client_options import HERE, AsJson, Set, Timeout, Url
from charhost.cli.output import left_out_lines, left_running_lines, moment, print_line, show_table

if TYPE_CHECKING:
    from charhost.jsontext import Json


def status(set_name: Set = None, url: Url = HERE, timeout: Timeout = 30, as_json: AsJson = False) -> None:
    """Show the current set of a running server, its last reload and error, its watcher and its sessions."""
    perform(
        Request("/v1/characters/status", url, timeout, query=query_of(set=set_name)),
        as_json=as_json,
        fits=lambda document: isinstance(document.get("serving"), dict),
        show=lambda document: show_table(("what", "now"), list(_rows(document))),
    )


def history(
    limit: Annotated[int | None, typer.Option(min=1, help="The most reloads to list.")] = None,
    set_name: Set = None,
    url: Url = HERE,
    timeout: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """List the reloads of a running server, the newest first, those that were refused too."""
    request = Request("/v1/characters/reloads", url, timeout, query=query_of(limit=limit, set=set_name))
    perform(request, as_json=as_json, fits=_is_history, show=_show_history)


def _rows(status: Json) -> Iterator[tuple[str, object]]:
    serving, last = status["serving"], status.get("last_reload")
    yield "characters", serving.get("characters")
    yield "generation", serving.get("generation")
    yield "etag", f"{serving.get('generation')}-{serving.get('revision')}"
    yield "sessions", _sessions(status.get("generations"))
    yield "last reload", _reload(last)
    if isinstance(running := status.get("in_progress"), dict):
        yield "reloading", f"since {moment(running.get('since'))}"
    yield "watcher", _watcher(status.get("watcher"), last)
    yield from _errors(status.get("last_error"), last)
    yield from zip(chain(["left out"], repeat("")), left_out_lines(status), strict=False)
    yield from zip(chain(["left running"], repeat("")), left_running_lines(status), strict=False)


def _sessions(generations: object) -> str:
    found = [entry for entry in generations if isinstance(entry, dict)] if isinstance(generations, list) else []
    counts = [f"{entry.get('sessions')} with generation {entry.get('generation')}" for entry in found]
    return ", ".join(counts) or "none"


def _reload(report: object) -> str | None:
    if not isinstance(report, dict):
        return None
    how = f"{report.get('outcome')} ({report.get('trigger')})"
    return f"{how}, {moment(report.get('started_at'))}: {report.get('message')}"


def _watcher(watcher: object, last: object) -> str:
    if not isinstance(watcher, dict):
        return "off"
    state = f"{'up' if watcher.get('up') else 'down'} ({watcher.get('mode')})"
    compared = moment(watcher.get("last_comparison")) or "never"
    causes = {"rollback": " after a rollback", "watch": " after a reload that was refused"}
    cause = causes.get(str(last.get("trigger")), "") if isinstance(last, dict) else ""
    held = f", held{cause}; charhost resume reads the disk again" if watcher.get("held") else ""
    return f"{state}, last compared {compared}{held}"


def _errors(report: object, last: object) -> Iterator[tuple[str, object]]:
    """Yield the sentence of the last reload that went wrong, then a row for each file."""
    lines = error_lines(report) if isinstance(report, dict) else []
    if not isinstance(report, dict) or report != last:
        yield "last error", _reload(report)
    else:
        yield "last error", "in the last reload" if lines else f"in the last reload: {report.get('message')}"
    yield from (("", line) for line in lines)


def _is_history(document: Json) -> bool:
    reloads = document.get("reloads")
    return isinstance(reloads, list) and all(isinstance(report, dict) for report in reloads)


def _show_history(document: Json) -> None:
    columns = ("started", "outcome", "by", "generation", "loaded", "errors", "directory", "reason")
    if document["reloads"]:
        show_table(columns, list(map(_attempt, document["reloads"])))
    else:
        print_line("There was no reload yet.")


def _attempt(report: Json) -> list[object]:
    started, loaded = moment(report.get("started_at")), f"{report.get('loaded_count')}/{report.get('total_files')}"
    rest = [report.get(name) for name in ("error_count", "directory", "reason")]
    return [started, *(report.get(name) for name in ("outcome", "trigger", "generation")), loaded, *rest]
