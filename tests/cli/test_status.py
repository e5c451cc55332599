"""`charhost status` and `charhost history` print the state and the reloads of a server as tables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.recording_server import REPORT, RESPONSES, WATCHER, RecordingServer

LAST_RELOAD = "applied (http), 2026-11-22T10:00:00Z: Successfully loaded 9 characters from /srv/characters"


async def table(server: RecordingServer, **fields: Any) -> list[tuple[str, str]]:
    """Return the rows of the table for a response with *fields*."""
    server.body = RESPONSES["status"] | fields
    result = await server.run("status")
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    second = header.index("now")
    return [(line[:second].strip(), line[second:]) for line in lines]


async def test_quiet_server(server: RecordingServer) -> None:
    """A server without sessions, watcher and errors has a row for each."""
    assert await table(server) == [
        ("characters", "9"),
        ("generation", "42"),
        ("etag", "42-sha256:ab"),
        ("sessions", "none"),
        ("last reload", LAST_RELOAD),
        ("watcher", "off"),
        ("last error", "–"),
    ]


async def test_sessions_are_counted_by_generation(server: RecordingServer) -> None:
    """Sessions are counted by the generation of their character."""
    generations = [{"generation": 41, "sessions": 2}, {"generation": 42, "sessions": 5}]
    assert ("sessions", "2 with generation 41, 5 with generation 42") in await table(server, generations=generations)


async def test_error_of_the_last_reload_names_the_lines(server: RecordingServer) -> None:
    """Each file that failed is a row, and the message of the reload is not repeated."""
    assert (await table(server, last_error=REPORT.model_dump(mode="json")))[-2:] == [
        ("last error", "in the last reload"),
        ("", "bob.py:12: SyntaxError: bad"),
    ]


async def test_error_without_a_file_is_the_message(server: RecordingServer) -> None:
    """An error without a file, as for a missing directory, is the message of the reload."""
    failed = REPORT.model_dump(mode="json") | {"message": "Directory not found: /tmp/nope", "errors": []}
    rows = await table(server, last_reload=failed, last_error=failed)
    assert rows[-1] == ("last error", "in the last reload: Directory not found: /tmp/nope")


async def test_error_of_an_earlier_reload_has_its_time(server: RecordingServer) -> None:
    """An error that is older than the last reload has its time."""
    earlier = REPORT.model_dump(mode="json") | {"reload_id": "r0", "errors": []}
    assert (await table(server, last_error=earlier))[-1] == ("last error", LAST_RELOAD)


async def test_running_reload_has_its_start(server: RecordingServer) -> None:
    """A running reload has the time of its start."""
    running = {"reload_id": "r2", "since": "2026-11-22T10:01:00.5Z"}
    assert ("reloading", "since 2026-11-22T10:01:00Z") in await table(server, in_progress=running)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"up": True}, "up (events), last compared never"),
        (
            {"up": False, "last_comparison": "2026-11-22T10:01:00.5Z"},
            "down (events), last compared 2026-11-22T10:01:00Z",
        ),
        ({"up": True, "mode": "poll"}, "up (poll), last compared never"),
    ],
)
async def test_watcher_has_its_state(server: RecordingServer, fields: dict[str, Any], text: str) -> None:
    """The watcher has its state, its mode and the time of its last comparison."""
    assert ("watcher", text) in await table(server, watcher={"mode": "events", "last_comparison": None} | fields)


@pytest.mark.parametrize(
    ("trigger", "why"),
    [("rollback", "held after a rollback"), ("watch", "held after a reload that was refused"), ("http", "held")],
)
async def test_watcher_that_holds_has_the_reason(server: RecordingServer, trigger: str, why: str) -> None:
    """A watcher that holds has the reason, if it is known, and the command that ends it."""
    last = REPORT.model_dump(mode="json") | {"trigger": trigger}
    watcher = WATCHER.model_dump(mode="json") | {"held": True}
    text = f"up (events), last compared never, {why}; charhost resume reads the disk again"
    assert ("watcher", text) in await table(server, watcher=watcher, last_reload=last)


async def test_first_moments_of_a_server(server: RecordingServer) -> None:
    """A server that has not reloaded yet has no last reload."""
    assert ("last reload", "–") in await table(server, last_reload=None)


async def test_each_reload_is_a_line(server: RecordingServer) -> None:
    """Each reload is a line with its time, outcome, trigger, counts and reason; a missing reason is a dash."""
    refused = REPORT.model_dump(mode="json") | {"outcome": "rejected", "trigger": "watch", "reason": None}
    server.body = {"reloads": [refused, REPORT.model_dump(mode="json")]}
    header, *lines = (await server.run("history")).stdout.splitlines()
    assert header.split() == ["started", "outcome", "by", "generation", "loaded", "errors", "directory", "reason"]
    when, where = "2026-11-22T10:00:00Z", "/srv/characters"
    assert [line.split() for line in lines] == [
        [when, "rejected", "watch", "42", "9/10", "1", where, "–"],
        [when, "applied", "http", "42", "9/10", "1", where, "because"],
    ]


async def test_bare_list_is_accepted(server: RecordingServer) -> None:
    """A response that is only the list is accepted."""
    server.body = [REPORT.model_dump(mode="json")]
    result = await server.run("history")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)


async def test_empty_history_is_a_sentence(server: RecordingServer) -> None:
    """An empty history is a sentence, not an empty table."""
    server.body = {"reloads": []}
    assert (await server.run("history")).stdout == "There was no reload yet.\n"


async def test_limit_is_sent(server: RecordingServer) -> None:
    """`--limit` is sent to the server."""
    await server.run("history", "--limit", "3")
    assert server.requests[0][1] == "/v1/characters/reloads?limit=3"


async def test_limit_below_one_is_wrong_usage(server: RecordingServer) -> None:
    """A limit below one is wrong usage."""
    assert (await server.run("history", "--limit", "0")).exit_code == 2


async def test_what_is_left_running_is_listed(server: RecordingServer) -> None:
    """Threads and tasks of versions that have ended are rows, the first ten of them."""
    left = [{"file": "ada.py", "kind": "thread", "name": f"Thread-{number}"} for number in range(12)]
    rows = (await table(server, left_running=left))[-11:]
    assert (rows[0], rows[9], rows[10]) == (
        ("left running", "ada.py: thread Thread-0"),
        ("", "ada.py: thread Thread-9"),
        ("", "and 2 more"),
    )
