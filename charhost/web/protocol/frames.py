"""Realtime events that the server sends, as frames of JSON text."""

from itertools import count, repeat
from typing import Any

from charhost.ids import new_id
from charhost.jsontext import Json, encoded

# Many clients take no message of more than 1 MiB, and a server event repeats the item that it is about.
MOST_EVENT = 960 << 10
INVALID = "invalid_request_error"

# They need not be secret, only unique.
_EVENT_IDS = map("".join, zip(repeat(f"{new_id('event')}_"), map(str, count())))


class EventRefused(Exception):
    """Raised for a refused client event; the attributes are the fields of the `error` event, *kind* its type."""

    def __init__(
        self, code: str, message: str, param: str | None = None, kind: str = INVALID, report: Json | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.kind = kind
        self.report = report


class InvalidEvent(EventRefused):
    """Raised for a client event that cannot be handled."""


def frame(kind: str, **fields: Any) -> str:
    """Return a server event as JSON, with an id of its own."""
    return encoded({"type": kind, "event_id": next(_EVENT_IDS), **fields}).decode()


class DeltaFrames:
    """Renders events that differ in their id and their `delta` only, of which there are thousands."""

    def __init__(self, kind: str, fields: Json) -> None:
        self._head = encoded({"type": kind}).decode()[:-1] + ',"event_id":"'
        self._tail = '",' + encoded(fields).decode()[1:-1] + ',"delta":'

    def frame(self, delta: str) -> str:
        return f"{self._head}{next(_EVENT_IDS)}{self._tail}{encoded(delta).decode()}}}"


def error_event(
    kind: str, code: str, message: str, param: str | None = None, event_id: str | None = None, **more: Any
) -> str:
    """Return an `error` event; *event_id* is that of the client event."""
    fields = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
    return frame("error", error=fields | more)


class NumberedError:
    """Renders an `error` event whose last field is another number for each client: the rest is encoded once."""

    def __init__(self, kind: str, code: str, message: str, field: str) -> None:
        error = {"type": kind, "code": code, "message": message, "param": None, "event_id": None, field: 0}
        self._tail = f'","error":{encoded(error).decode()[:-2]}'

    def frame(self, number: int) -> str:
        return f'{{"type":"error","event_id":"{next(_EVENT_IDS)}{self._tail}{number}}}}}'


def refusal(error: EventRefused, event_id: str | None) -> str:
    report = {} if error.report is None else {"report": error.report}
    return error_event(error.kind, error.code, str(error), error.param, event_id, **report)
