"""charhost rollback: restore an earlier generation on a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from charhost.cli.client import Request, ServerClient, is_report, perform, show_report
from charhost.cli.options import HERE, AsJson, Drain, IfMatch, Reason, Sessions, Timeout, Url
from charhost.jsontext import Json


def rollback(
    generation: Annotated[
        int | None, typer.Argument(min=0, help="A number from the history (default: the generation before).")
    ] = None,
    sessions: Sessions = None,
    drain: Drain = None,
    reason: Reason = None,
    if_match: IfMatch = None,
    url: Url = HERE,
    timeout: Timeout = 120,
    as_json: AsJson = False,
) -> None:
    """Restore an earlier generation on a running server, even if its files are gone."""
    wish = {"generation": generation, "sessions": sessions, "drain_seconds": drain, "reason": reason}
    wish = {name: value for name, value in wish.items() if value is not None}
    request = Request("/v1/characters/rollback", wish, if_match=if_match)
    perform(ServerClient(url, timeout), request, as_json=as_json, fits=is_report, show=_show)


def _show(report: Json) -> None:
    """Print the report; its message names the generation that is back."""
    show_report(report, f"Rolled back: the characters serve as generation {report.get('generation')}.")
