"""The values in the query of a request."""

import re

from aiohttp import web

from charhost.text import quoted
from charhost.web.http.problems import Problem

_MOST = 999_999_999
# The schema of a number without another limit.
NUMBER = {"type": "integer", "minimum": 1, "maximum": _MOST}


def number_in_query(request: web.Request, name: str, most: int = _MOST) -> int | None:
    """Return a number from 1 to *most*; None if there is none. Raises `Problem`."""
    found = request.query.get(name)
    if found is None:
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", found, re.ASCII) or int(found) > most:
        raise Problem(400, "invalid_request", f"{name}: expected a number from 1 to {most}, found {quoted(found)}")
    return int(found)
