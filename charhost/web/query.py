"""The values in the query of a request."""

import re

from aiohttp import web

from charhost.text import quoted
from charhost.web.problems import Problem


def number_in_query(request: web.Request, name: str, most: int | None = None) -> int | None:
    """Return a number from 1 on, to *most* if that is given; None if there is none. Raises `Problem`."""
    found = request.query.get(name)
    if found is None:
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", found, re.ASCII) or (most is not None and int(found) > most):
        end = "on" if most is None else f"to {most}"
        raise Problem(400, "invalid_request", f"{name}: expected a number from 1 {end}, found {quoted(found)}")
    return int(found)
