"""The view that a caller has of the character sets."""

from aiohttp import web

from charhost.report import DEFAULT_SET
from charhost.sets.named_set import NamedSet
from charhost.sets.view import FoundCharacter, SetsView
from charhost.web.http.operation import Parameter
from charhost.web.http.problems import Problem
from charhost.web.keys import AUTHORITY, SETS

SET = Parameter("set", "query", "The character set, whose characters need no prefix then (default: all sets).")
ONE_SET = Parameter("set", "query", "The character set (default: `default`).")


def reloadable(request: web.Request, name: str | None = None) -> NamedSet:
    """Return the set called *name*, by default that of `?set=`, else `default`; raises `SetNotFound`."""
    return request.app[SETS].view().named(name if name is not None else request.query.get("set", DEFAULT_SET))


def key_view(request: web.Request) -> SetsView:
    """Return the sets that the key of the request may use."""
    return request.app[SETS].view(request[AUTHORITY].sets)


def admin_view(request: web.Request) -> SetsView:
    """Return all sets, or the one of them in `?set=`; raises `SetNotFound`."""
    return _narrowed(request.app[SETS].view(), request)


def view_of(request: web.Request) -> SetsView:
    """Return the sets that the key of the request may use, or the one of them in `?set=`; raises `SetNotFound`."""
    return _narrowed(key_view(request), request)


def found_in(view: SetsView, name: str) -> FoundCharacter:
    """Return the character of that name or alias; raises `Problem`."""
    found = view.find(name)
    if found is None:
        raise Problem(404, "character_not_found", f"There is no character called {name!r}; see /v1/characters.")
    return found


def _narrowed(view: SetsView, request: web.Request) -> SetsView:
    return view.narrowed(request.query["set"]) if "set" in request.query else view
