"""Clients that lose a session and resume it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from charhost.web.keys import SESSIONS
from charhost.web.sessions.session import Session
from tests.conftest import Client
from tests.web.realtime.openai_client import REALTIME, Caller, calling, transport
from tests.web.realtime.server import events, reload, until
from tests.web.sessions.conversations import value


def session_id(caller: Caller) -> str:
    """The id that a client was given."""
    return str(caller.events[0]["session"]["id"])


@asynccontextmanager
async def resuming(client: Client, lost: Caller) -> AsyncIterator[Caller]:
    """Connect the client again, with the items that it knew."""
    async with calling(client, lost.grammar.dialect, resume=session_id(lost)) as caller:
        caller.grammar._order = [*lost.grammar._order]
        yield caller


async def refusal(client: Client, resume: str, **options: Any) -> tuple[str, int]:
    """The code of the only event that a client is sent which tries to come back, and how it is closed."""
    async with client.ws_connect(REALTIME, params={"resume": resume, "dialect": "ga"}, **options) as ws:
        (event,), code, reason = await events(ws)
    assert (event["type"], reason) in (
        ("error", f"invalid_request_error.{event['error']['code']}"),
        ("error", event["error"]["code"]),
    )
    return event["error"]["code"], code


NOT_FOUND = ("session_not_found", 4004)


async def disconnected(client: Client, count: int = 1) -> None:
    """Wait until no session is open, and check the number of saved conversations."""
    await until(lambda: not len(client.app[SESSIONS]))
    assert value(client, "sessions_parked") == count


def live(client: Client) -> Session:
    """The only open session."""
    (session,) = client.app[SESSIONS]._live.values()
    return session


def break_charhost(client: Client) -> None:
    """Make the session of a client fail."""
    try:
        raise RuntimeError("x")
    except RuntimeError:
        live(client).fail()


async def lose(client: Client, caller: Caller, how: str) -> None:
    """End a session in one of the ways after which a client may come back."""
    if how == "cut line":
        transport(caller).abort()
    elif how == "fault":
        break_charhost(client)
        assert await caller.end() == 1011
    elif how == "gone away":
        await caller.ws.close(code=1001)
    else:
        await reload(client)
        assert await caller.end() == 1012
