from charhost.llm.model import ModelError

MOST_BYTES = 1 << 20


class EventTooLong(ModelError):
    def __init__(self) -> None:
        super().__init__("malformed", "The model's server sent an event that is too long.")


class EventData:
    """Parses a stream in pieces of any size into the data of its events (HTML standard, 9.2.6).

    Types, ids and comments are skipped. Data stays bytes: a character may be split between two pieces.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the events that *piece* completes; raises `EventTooLong`."""
        *lines, rest = piece.split(b"\n")
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        self._line += rest
        if len(self._line) > MOST_BYTES:
            raise EventTooLong
        return self._read(lines)

    def end(self) -> list[bytes]:
        """Return the data of the last event: some servers leave out the blank line after it."""
        return self._read([bytes(self._line), b""])

    def _read(self, lines: list[bytes]) -> list[bytes]:
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
                self._data_size += len(line)
                if self._data_size > MOST_BYTES:
                    raise EventTooLong
            elif self._data and (not line or line == b"\r"):
                # JSON ignores the space after the colon and the CR at the end.
                events.append(b"\n".join(self._data))
                self._data, self._data_size = [], 0
        return events
