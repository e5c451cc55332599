"""Handlers whose modules are imported by their first request, so that a server starts without them."""

import asyncio
import sys
from functools import cache
from importlib import import_module
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

_ATTRIBUTE = "later"


def later(module: str, name: str) -> Handler:
    """Return a handler in place of that called *name* in `charhost.web.<module>`."""
    module = f"charhost.web.{module}"

    async def handler(request: web.Request) -> web.StreamResponse:
        return await loaded(handler)(request)

    vars(handler)[_ATTRIBUTE] = (module, name)
    return handler


def loaded(handler: Handler) -> Handler:
    """Return the handler itself, whose module is imported if it was not yet."""
    place = getattr(handler, _ATTRIBUTE, None)
    return handler if place is None else _imported(*place)


@cache  # by places, which are few: the handler of an unknown path is another object for each request
def _imported(module: str, name: str) -> Handler:
    return cast(Handler, getattr(import_module(module), name))


async def load(handler: Handler) -> Handler:
    """Return the handler itself, whose module is imported on a thread: the event loop would wait for it."""
    module, _ = getattr(handler, _ATTRIBUTE, (None, ""))
    if module is not None and module not in sys.modules:
        await asyncio.to_thread(import_module, module)
    return loaded(handler)
