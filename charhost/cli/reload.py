"""charhost reload: reload the characters of a running server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from charhost.cli.client import Request, ServerClient, is_report, perform, show_report
from charhost.cli.options import HERE, AsJson, Drain, IfMatch, Reason, Sessions, Timeout, Url
from charhost.report import OnError, Scope


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
    wish = {
        "directory": directory,
        "scope": scope,
        "sessions": sessions,
        "drain_seconds": drain,
        "on_error": on_error,
        "dry_run": dry_run,
        "check_isolated": check_isolated,
        "reason": reason,
    }
    wish = {name: value for name, value in wish.items() if value is not None}
    request = Request("/v1/characters/reload", wish, if_match=if_match)
    perform(ServerClient(url, timeout), request, as_json=as_json, fits=is_report, show=show_report)
