"""Streams of a model that is silent, over real sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from charhost.web.http import event_stream
from tests.conftest import STREAM_BEGINS_AFTER
from tests.strict_upstream import strict_upstream
from tests.web.thinking_upstream import CHAT, HI, served

ASKED: dict[str, Any] = {"model": "Ada", "messages": [HI], "stream": True}
LIMIT = 180


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments soon."""
    monkeypatch.setattr(event_stream, "BEGIN_AFTER", 0.05)
    monkeypatch.setattr(event_stream, "COMMENT_EVERY", 0.05)


def test_times() -> None:
    """A response begins after five seconds, and has a comment every ten."""
    assert (STREAM_BEGINS_AFTER, event_stream.COMMENT_EVERY) == (5, 10)


@pytest.mark.parametrize(
    ("path", "asked"),
    [(CHAT, ASKED), ("/v1/responses", {"model": "Ada", "input": "Hi", "stream": True})],
    ids=["chat completions", "responses"],
)
async def test_comments_in_silence(path: str, asked: dict[str, Any], quick: None, directory: Path) -> None:
    """While the model is silent a client gets the headers and comments, and then the response."""
    gate = asyncio.Event()
    async with (
        strict_upstream(gate=gate) as upstream,
        served(directory, upstream) as client,
        client.post(path, json=asked) as answer,
        asyncio.timeout(LIMIT),
    ):
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        comments = 0
        while comments < 3:
            comments += (await answer.content.readuntil(b"\n\n")).startswith(b": ")
        gate.set()
        text = await answer.text()
        assert all(f'"{word}"' in text for word in ("Hello", " from", " the", " model."))


async def test_a_failure_after_silence_is_in_the_stream(quick: None, directory: Path) -> None:
    """A refusal that comes after the headers is the last event."""
    gate = asyncio.Event()
    async with (
        strict_upstream(gate=gate) as upstream,
        served(directory, upstream) as client,
        client.post(CHAT, json=ASKED | {"temperature": 99}) as answer,
        asyncio.timeout(LIMIT),
    ):
        assert answer.status == 200
        gate.set()
        *_, last = (line for line in (await answer.text()).split("\n\n") if line.startswith("data: "))
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_error"


async def test_a_failure_before_that_has_its_status(directory: Path) -> None:
    """A refusal that comes at once has its own status."""
    async with strict_upstream() as upstream, served(directory, upstream) as client:
        assert (await client.post(CHAT, json=ASKED | {"temperature": 99})).status == 400


async def test_no_comments_between_words(directory: Path) -> None:
    """A model that speaks at once has no comments in its stream."""
    async with strict_upstream() as upstream, served(directory, upstream) as client:
        assert "\n: " not in await (await client.post(CHAT, json=ASKED)).text()
