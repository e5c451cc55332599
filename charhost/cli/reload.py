"""charhost reload, rollback and resume: replace the characters of a running server."""

import os
from pathlib import Path
from typing import Annotated

import typer

from charhost.cli.client import Request, error_lines, exchange, perform, query_of
from charhost.cli.client_options import HERE, AsJson, Drain, IfMatch, Reason, Set, Timeout, Url
from charhost.cli.output import mark, print_line
from charhost.jsontext import Json
from charhost.report import Nodes, OnError, Scope, SessionPolicy
from charhost.text import one_line

Sessions = Annotated[
    SessionPolicy | None, typer.Option(help="Policy for open sessions (default: the server's setting).")
]

_HEADLINES = {
    "unchanged": "Nothing has changed: the characters stay as they are.",
    "valid": "Characters are valid: nothing was changed, this was a dry run.",
}


def _sendable(directory: str | None) -> str | None:
    """Make a path absolute without following links; the server itself resolves "default"."""
    if directory is None or directory == "default":
        return directory
    if not directory:  # abspath("") is the working directory: an unset variable would load whatever lies there
        raise typer.BadParameter("must not be empty")
    expanded = os.path.expanduser(directory)
    try:
        # abspath drops "..", which after a link means another directory: an absolute path is left alone.
        absolute = expanded if os.path.isabs(expanded) else os.path.abspath(expanded)
        return os.fsencode(absolute).decode("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter("its name is not UTF-8, so JSON cannot carry it") from None
    except OSError as e:
        raise typer.BadParameter(f"the working directory is gone ({e})") from e


def reload(
    directory: Annotated[
        str | None,
        typer.Argument(
            callback=_sendable,
            help="A directory on the server's machine, or the word default for the one that it started with"
            " (default: the current one).",
        ),
    ] = None,
    upload: Annotated[
        Path | None, typer.Option(help="Send a directory of this machine to a fleet (--fleet-upload).")
    ] = None,
    nodes: Annotated[Nodes | None, typer.Option(help="With a fleet: every node, or only that of --url.")] = None,
    set_name: Set = None,
    scope: Annotated[Scope, typer.Option(help="Load all files, or only the changed ones.")] = "all",
    sessions: Sessions = None,
    drain: Drain = None,
    on_error: Annotated[OnError, typer.Option(help="Policy for a file that fails.")] = "exclude",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Load, check and report; change nothing.")] = False,
    check_isolated: Annotated[
        bool | None, typer.Option(help="Load in a child process first (default: the server's setting).")
    ] = None,
    reason: Reason = None,
    if_match: IfMatch = None,
    url: Url = HERE,
    timeout: Timeout = 120,
    as_json: AsJson = False,
) -> None:
    """Reload the characters of a running server from a directory."""
    if upload is not None and directory is not None:
        raise typer.BadParameter("name a directory of the server's machine, or --upload one of this machine")
    order = {
        "set": set_name,
        "directory": directory,
        "uploaded": _uploaded(upload, url, timeout, as_json, set_name) if upload is not None else None,
        "nodes": nodes,
        "scope": scope,
        "sessions": sessions,
        "drain_seconds": drain,
        "on_error": on_error,
        "dry_run": dry_run,
        "check_isolated": check_isolated,
        "reason": reason,
    }
    request = Request("/v1/characters/reload", url, timeout, order, if_match=if_match)
    perform(request, as_json=as_json, fits=_is_report, show=_show)


def _uploaded(directory: Path, url: str, timeout: float, as_json: bool, set_name: str | None) -> str:
    """Upload the set in a directory and return its digest, or end the command."""
    from charhost.cli.upload import archive_of  # with the code that reads directories
    from charhost.fleet.sets.upload import TAR

    file = TAR, archive_of(directory)
    request = Request("/v1/fleet/sets", url, timeout, query=query_of(set=set_name), file=file)
    return str(exchange(request, as_json=as_json, fits=_is_upload, quiet=True)["uploaded"])


def rollback(
    generation: Annotated[
        int | None, typer.Argument(min=0, help="A number from the history (default: the generation before).")
    ] = None,
    set_name: Set = None,
    sessions: Sessions = None,
    drain: Drain = None,
    reason: Reason = None,
    if_match: IfMatch = None,
    url: Url = HERE,
    timeout: Timeout = 120,
    as_json: AsJson = False,
) -> None:
    """Restore an earlier generation on a running server, even if its files are gone."""
    order = {
        "set": set_name,
        "generation": generation,
        "sessions": sessions,
        "drain_seconds": drain,
        "reason": reason,
    }
    request = Request("/v1/characters/rollback", url, timeout, order, if_match=if_match)
    perform(request, as_json=as_json, fits=_is_report, show=_show_rollback)


def resume(set_name: Set = None, url: Url = HERE, timeout: Timeout = 30, as_json: AsJson = False) -> None:
    """Resume watching after a rollback; the directory is loaded if it differs from the current set."""
    request = Request("/v1/characters/watch/resume", url, timeout, body={}, query=query_of(set=set_name))
    perform(request, as_json=as_json, fits=_is_watcher, show=_show_watcher)


def _show_rollback(report: Json) -> None:
    _show(report, f"Rolled back: the characters serve as generation {report.get('generation')}.")


def _is_upload(document: Json) -> bool:
    return isinstance(document.get("uploaded"), str)


def _is_report(document: Json) -> bool:
    """Return whether *document* is the report of a reload, and not JSON of another server."""
    kinds = {"directory": str, "total_files": int, "loaded_count": int, "error_count": int, "message": str}
    duration = isinstance(document.get("load_duration"), (int, float))
    return duration and all(isinstance(document.get(name), kind) for name, kind in kinds.items())


def _show(report: Json, done: str = "Characters reloaded successfully!") -> None:
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
    print_line("\n".join(lines + [""] * bool(errors) + [f"  {line}" for line in errors]))


def _is_watcher(document: Json) -> bool:
    return isinstance(document.get("up"), bool) and isinstance(document.get("held"), bool)


def _show_watcher(watcher: Json) -> None:
    down = "Watching again as soon as the watcher is up; it is down, see the server's log."
    print_line(f"{mark(True)} {'Watching again; see charhost status.' if watcher['up'] else down}")
