"""`charhost status` and `charhost history`: what a server serves, and its reloads, in tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.asked import FINE, REPORT, WATCHER, Asked, listening

TOLD = "applied (http), 2026-11-22T10:00:00Z: Successfully loaded 9 characters from /srv/characters"


@pytest.fixture
async def asked(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> Asked:
    """A server that answers what a test has prepared."""
    return await listening(aiohttp_server)


async def table(asked: Asked, **fields: Any) -> list[tuple[str, str]]:
    """The lines of the table, as what and how; the server answers with *fields*."""
    asked.body = FINE["status"] | fields
    result = await asked.run("status")
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    second = header.index("now")
    return [(line[:second].strip(), line[second:]) for line in lines]


async def test_quiet_server(asked: Asked) -> None:
    """What serves, its ETag, and that nothing is wrong."""
    assert await table(asked) == [
        ("characters", "9"),
        ("generation", "42"),
        ("etag", "42-sha256:ab"),
        ("sessions", "none"),
        ("last reload", TOLD),
        ("watcher", "off"),
        ("last error", "–"),
    ]


async def test_sessions_are_told_by_generation(asked: Asked) -> None:
    """Who still talks to an earlier version is seen."""
    generations = [{"generation": 41, "sessions": 2}, {"generation": 42, "sessions": 5}]
    assert ("sessions", "2 with generation 41, 5 with generation 42") in await table(asked, generations=generations)


async def test_error_of_the_last_reload_names_the_lines(asked: Asked) -> None:
    """Each file that failed is a line of its own; the sentence of the reload is not said twice."""
    assert (await table(asked, last_error=REPORT.model_dump(mode="json")))[-2:] == [
        ("last error", "in the last reload"),
        ("", "bob.py:12: SyntaxError: bad"),
    ]


async def test_error_without_a_file_is_told_by_its_sentence(asked: Asked) -> None:
    """Where no file is to blame, as for a directory that is missing, the reload's own sentence is shown."""
    failed = REPORT.model_dump(mode="json") | {"message": "Directory not found: /tmp/nope", "errors": []}
    rows = await table(asked, last_reload=failed, last_error=failed)
    assert rows[-1] == ("last error", "in the last reload: Directory not found: /tmp/nope")


async def test_error_of_an_earlier_reload_is_told_whole(asked: Asked) -> None:
    """An error that is older than the last reload comes with when it was."""
    earlier = REPORT.model_dump(mode="json") | {"reload_id": "r0", "errors": []}
    assert (await table(asked, last_error=earlier))[-1] == ("last error", TOLD)


async def test_running_reload_is_told(asked: Asked) -> None:
    """A reload that is under way says since when."""
    running = {"reload_id": "r2", "since": "2026-11-22T10:01:00.5Z"}
    assert ("reloading", "since 2026-11-22T10:01:00Z") in await table(asked, in_progress=running)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"up": True}, "up (events), last compared never"),
        (
            {"up": False, "last_comparison": "2026-11-22T10:01:00.5Z"},
            "down (events), last compared 2026-11-22T10:01:00Z",
        ),
        ({"up": True, "mode": "poll"}, "up (poll), last compared never"),
    ],
)
async def test_watcher_is_told(asked: Asked, fields: dict[str, Any], told: str) -> None:
    """Whether it watches, how, and when it last looked."""
    assert ("watcher", told) in await table(asked, watcher={"mode": "events", "last_comparison": None} | fields)


@pytest.mark.parametrize(
    ("trigger", "why"),
    [("rollback", "held after a rollback"), ("watch", "held after a reload that was refused"), ("http", "held")],
)
async def test_watcher_that_holds_says_what_helps(asked: Asked, trigger: str, why: str) -> None:
    """A watcher that waits for the disk to change says why, as far as that is known, and which command ends it."""
    last = REPORT.model_dump(mode="json") | {"trigger": trigger}
    watcher = WATCHER.model_dump(mode="json") | {"held": True}
    told = f"up (events), last compared never, {why}; charhost resume reads the disk again"
    assert ("watcher", told) in await table(asked, watcher=watcher, last_reload=last)


async def test_first_moments_of_a_server(asked: Asked) -> None:
    """A server that has not reloaded yet has no last reload."""
    assert ("last reload", "–") in await table(asked, last_reload=None)


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
