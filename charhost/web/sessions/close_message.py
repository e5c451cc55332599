"""CloseMessage: the last thing a client is sent."""

from __future__ import annotations

import random
from dataclasses import dataclass

from charhost.character.character import Character
from charhost.reload.swap import Swap
from charhost.text import display
from charhost.web.protocol.server_events import error_event

# RFC 6455, section 5.5: a control frame carries at most 125 bytes, two of which are the close code.
_MOST_REASON = 123


@dataclass(frozen=True)
class CloseMessage:
    """Perhaps an event, then the close frame.

    *why* is for metrics and logs; *cut* and *text* are what an answer that is under way is ended with.
    """

    code: int
    reason: str
    why: str
    frame: str | None = None
    cut: str = "session_closed"
    text: str = ""

    @property
    def close_reason(self) -> bytes:
        """The reason as a close frame can carry it, cut between characters."""
        return self.reason.encode("utf-8", "replace")[:_MOST_REASON].decode("utf-8", "ignore").encode()


GOING_AWAY = CloseMessage(1001, "Server is shutting down", "shutdown", cut="server_shutdown")


def refused(code: str, message: str, param: str | None = None, close_code: int = 4004) -> CloseMessage:
    """Make the farewell of a client that cannot be served; none of these codes makes an SDK connect again."""
    frame = error_event("invalid_request_error", code, message, param)
    return CloseMessage(close_code, f"invalid_request_error.{code}", code, frame, code)


def taken_over() -> CloseMessage:
    """Make the farewell of a socket whose session another one has resumed."""
    reason = "Another connection took the session over"
    frame = error_event("fatal", "session_taken_over", f"{reason}.")
    return CloseMessage(4009, reason, "taken_over", frame, "session_taken_over")


def removed(character: str, reason: str) -> CloseMessage:
    """Make the farewell of a session whose character is gone."""
    text = f"The character {character!r} is gone: {reason}."
    frame = error_event("fatal", "character_removed", text)
    return CloseMessage(4004, "character_removed", "character_removed", frame, "character_removed", text)


class ReloadCloseMessage:
    """What the sessions that a swap touches are told: why, whether to come back, and when.

    The return of *count* sessions is spread over time, each at a moment of its own that is drawn by lot: so there are
    never more than *rate* of them in a second, and a single one may come back at once.
    """

    def __init__(self, swap: Swap, count: int, rate: float) -> None:
        self._swap = swap
        self._reason = f"Characters reloaded from {display(swap.after.directory)}"
        self._rate = rate
        self._places = random.sample(range(count), count)

    def __call__(self, character: Character) -> CloseMessage:
        """Make the farewell of a session that talks to *character*."""
        if self._swap.policy != "close" and character.name not in self._swap.after:
            return removed(character.name, self._reason)
        wait = round(self._places.pop() / self._rate * 1000)
        text = f"{self._reason}. Please reconnect."
        frame = error_event("fatal", "characters_reloaded", text, retry_after_ms=wait)
        return CloseMessage(1012, self._reason, "reload", frame, "characters_reloaded")
