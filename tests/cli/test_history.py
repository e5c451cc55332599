"""`charhost history`: the reloads of a server, in a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestServer

from tests.asked import REPORT, Asked, listening


@pytest.fixture
async def asked(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> Asked:
    """A server that answers what a test has prepared."""
    return await listening(aiohttp_server)


async def test_each_reload_is_a_line(asked: Asked) -> None:
    """A line tells when, how it went, who asked, what was loaded and why; a missing reason is a dash."""
    refused = REPORT.model_dump(mode="json") | {"outcome": "rejected", "trigger": "watch", "reason": None}
    asked.body = {"reloads": [refused, REPORT.model_dump(mode="json")]}
    header, *lines = (await asked.run("history")).stdout.splitlines()
    assert header.split() == ["started", "outcome", "by", "generation", "loaded", "errors", "directory", "reason"]
    when, where = "2026-11-22T10:00:00Z", "/srv/characters"
    assert [line.split() for line in lines] == [
        [when, "rejected", "watch", "42", "9/10", "1", where, "–"],
        [when, "applied", "http", "42", "9/10", "1", where, "because"],
    ]


async def test_bare_list_is_accepted(asked: Asked) -> None:
    """A server may answer the list without a name for it."""
    asked.body = [REPORT.model_dump(mode="json")]
    result = await asked.run("history")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)


async def test_no_reload_is_said(asked: Asked) -> None:
    """An empty history is not an empty table."""
    asked.body = {"reloads": []}
    assert (await asked.run("history")).stdout == "There was no reload yet.\n"


async def test_limit_is_asked_for(asked: Asked) -> None:
    """`--limit` goes to the server."""
    await asked.run("history", "--limit", "3")
    assert asked.requests[0][1] == "/v1/characters/reloads?limit=3"


async def test_limit_below_one_is_wrong_usage(asked: Asked) -> None:
    """No reloads are not a history."""
    assert (await asked.run("history", "--limit", "0")).exit_code == 2
