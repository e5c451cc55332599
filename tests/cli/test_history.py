"""`charhost history` prints the reloads of a server as a table."""

from __future__ import annotations

from tests.cli.recording_server import REPORT, RecordingServer


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
