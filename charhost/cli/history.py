"""charhost history: the reloads of a running server."""

from typing import Annotated

import typer

from charhost.cli.client import Request, perform
from charhost.cli.options import HERE, AsJson, Timeout, Url
from charhost.cli.output import moment, say, show_table
from charhost.jsontext import Json


def history(
    limit: Annotated[int | None, typer.Option(min=1, help="The most reloads to list.")] = None,
    url: Url = HERE,
    timeout: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """List the reloads of a running server, the newest first, those that were refused too."""
    query = None if limit is None else {"limit": str(limit)}
    request = Request("/v1/characters/reloads", url, timeout, query=query)
    perform(request, as_json=as_json, fits=_is_history, show=_show)


def _is_history(document: Json) -> bool:
    reloads = document.get("reloads")
    return isinstance(reloads, list) and all(isinstance(report, dict) for report in reloads)


def _show(document: Json) -> None:
    columns = ("started", "outcome", "by", "generation", "loaded", "errors", "directory", "reason")
    if document["reloads"]:
        show_table(columns, list(map(_row, document["reloads"])))
    else:
        say("There was no reload yet.")


def _row(report: Json) -> list[object]:
    started, loaded = moment(report.get("started_at")), f"{report.get('loaded_count')}/{report.get('total_files')}"
    rest = [report.get(name) for name in ("error_count", "directory", "reason")]
    return [started, *(report.get(name) for name in ("outcome", "trigger", "generation")), loaded, *rest]
