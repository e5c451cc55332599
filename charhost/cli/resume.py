"""charhost resume: resume watching after a rollback."""

from charhost.cli.client import Request, perform
from charhost.cli.options import HERE, AsJson, Timeout, Url
from charhost.cli.output import mark, say
from charhost.jsontext import Json


def resume(url: Url = HERE, timeout: Timeout = 30, as_json: AsJson = False) -> None:
    """Resume watching after a rollback; the directory is loaded if it differs from the current set."""
    request = Request("/v1/characters/watch/resume", url, timeout, body={})
    perform(request, as_json=as_json, fits=_is_watcher, show=_show)


def _is_watcher(document: Json) -> bool:
    return isinstance(document.get("up"), bool) and isinstance(document.get("held"), bool)


def _show(watcher: Json) -> None:
    down = "Watching again as soon as the watcher is up; it is down, see the server's log."
    say(f"{mark(True)} {'Watching again; see charhost status.' if watcher['up'] else down}")
