"""EventData: what the events of a text/event-stream carry."""

from __future__ import annotations

MOST_BYTES = 1 << 20


class EventTooLong(Exception):
    """The data of an event, or a line, is over `MOST_BYTES`."""


class EventData:
    """Takes a stream as it arrives, cut anywhere, and gives the data of each event (HTML standard, 9.2.6).

    The types, ids and comments of events are skipped. Bytes stay bytes: a character that the network has cut in
    two is whole again before anybody decodes it.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._line_size = 0
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Give what has become complete; raises `EventTooLong`."""
        lines = piece.split(b"\n")
        self._begin_or_go_on(lines[0])
        if len(lines) == 1:
            return []
        # Joined only now: a line that arrives byte by byte would else be copied as often.
        lines[0] = b"".join(self._line)
        self._line, self._line_size = [], 0
        self._begin_or_go_on(lines.pop())
        return self._read(lines)

    def end(self) -> list[bytes]:
        """Give what the end of the stream completes: some servers leave out the last blank line."""
        return self._read([b"".join(self._line), b""])

    def _begin_or_go_on(self, part: bytes) -> None:
        self._line.append(part)
        self._line_size += len(part)
        if self._line_size > MOST_BYTES:
            raise EventTooLong

    def _read(self, lines: list[bytes]) -> list[bytes]:
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
                self._data_size += len(line)
                if self._data_size > MOST_BYTES:
                    raise EventTooLong
            elif self._data and (not line or line == b"\r"):
                # The space after the colon and the CR at the end are white space to JSON, and stay.
                events.append(b"\n".join(self._data))
                self._data, self._data_size = [], 0
        return events
