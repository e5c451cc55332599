"""Events of a text/event-stream, however it is cut and written."""

from __future__ import annotations

import pytest

from charhost.llm.openai.sse import MOST_BYTES, EventData, EventTooLong


def read(stream: bytes, size: int = 1 << 20) -> list[bytes]:
    """The data of a whole stream that arrives in pieces of that size."""
    events = EventData()
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    found = [data for piece in pieces for data in events.feed(piece)] + events.end()
    return [data.strip() for data in found]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        pytest.param(b"data: 1\n\ndata: 2\n\n", [b"1", b"2"], id="plain"),
        pytest.param(b"data:1\n\n", [b"1"], id="no space"),
        pytest.param(b"data: 1\r\n\r\ndata: 2\r\n\r\n", [b"1", b"2"], id="CRLF"),
        pytest.param(
            b": ping\n\nevent: x\nid: 3\nretry: 5\ndata: 1\n\n: ping\n", [b"1"], id="comments and other fields"
        ),
        pytest.param(b"data: [1,\ndata: 2]\n\n", [b"[1,\n 2]"], id="several lines"),
        pytest.param(b"data: 1\n\ndata: 2", [b"1", b"2"], id="no blank line at the end"),
        pytest.param("data: ä€😀\n\n".encode(), ["ä€😀".encode()], id="UTF-8"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_data_of_events(stream: bytes, data: list[bytes], size: int) -> None:
    """The data of each event comes out, wherever the network has cut the stream."""
    assert read(stream, size) == data


@pytest.mark.parametrize("piece", [b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"], ids=["line", "lines"])
def test_too_long(piece: bytes) -> None:
    """A line without an end, or an event without one, is refused instead of kept."""
    events = EventData()
    with pytest.raises(EventTooLong):
        all(events.feed(piece) == [] for _ in range(MOST_BYTES // len(piece) + 2))


def test_endless_comments() -> None:
    """Comments are no part of an event and may go on for ever."""
    events = EventData()
    assert [data for _ in range(64) for data in events.feed(b": ping\n" * 8192)] == []
