"""Close messages: the last frames that a client is sent."""

import random
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from charhost.character.character import Character
from charhost.reload.swap import Swap
from charhost.sets.view import full_name
from charhost.text import display
from charhost.web.protocol.frames import INVALID, NumberedError, error_event


@dataclass(frozen=True)
class CloseMessage:
    """A close frame with the event before it; a running turn fails with the code `cut` and the message `text`."""

    code: int
    reason: str
    why: str  # the reason in metrics and logs
    frame: str | None = None
    cut: str = "session_closed"
    text: str = ""

    @property
    def close_reason(self) -> bytes:
        """The reason, cut between characters to fit into a close frame: to 123 bytes (RFC 6455, section 5.5)."""
        return _fitting(self.reason)

    async def send(self, ws: web.WebSocketResponse) -> None:
        if self.frame is not None:
            await ws.send_str(self.frame)
        # Without drain=False aiohttp waits, beyond any time limit, for a client that has stopped reading.
        await ws.close(code=self.code, message=self.close_reason, drain=False)


@lru_cache(maxsize=16)  # a reload gives thousands of sessions the same
def _fitting(reason: str) -> bytes:
    return reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode()


# All clients of a node that is cut off come back.
_RETRY_MS = (1000, 3000)

GOING_AWAY = CloseMessage(1001, "Server is shutting down", "shutdown", cut="server_shutdown")


def refused(code: str, message: str, param: str | None = None, close_code: int = 4004) -> CloseMessage:
    """Return the close message of a refused client; no SDK reconnects after one of these codes."""
    frame = error_event(INVALID, code, message, param)
    return CloseMessage(close_code, f"{INVALID}.{code}", code, frame, code)


def taken_over() -> CloseMessage:
    reason = "Another connection took the session over"
    frame = error_event("fatal", "session_taken_over", f"{reason}.")
    return CloseMessage(4009, reason, "taken_over", frame, "session_taken_over")


def unavailable() -> CloseMessage:
    """Return the close message of a client whose session can be resumed later, or at another node."""
    reason = "The session cannot be read now"
    event = NumberedError("fatal", "session_unavailable", f"{reason}; try again.", "retry_after_ms")
    frame = event.frame(random.randint(*_RETRY_MS))
    return CloseMessage(1013, reason, "session_unavailable", frame, "session_unavailable")


def removed(character: str, reason: str) -> CloseMessage:
    text = f"The character {character!r} was removed: {reason}."
    frame = error_event("fatal", "character_removed", text)
    return CloseMessage(4004, "character_removed", "character_removed", frame, "character_removed", text)


def set_removed(name: str) -> CloseMessage:
    text = f"Character set {name} was removed."
    frame = error_event("fatal", "set_removed", text)
    return CloseMessage(4004, text.rstrip("."), "set_removed", frame, "set_removed", text)


class ReloadCloseMessage:
    """Makes *count* close messages; they ask at most *rate* clients a second to reconnect, in random order."""

    def __init__(self, swap: Swap, count: int, rate: float) -> None:
        self._swap = swap
        self._reason = f"Characters reloaded from {display(swap.after.directory)}"
        text = f"{self._reason}. Please reconnect."
        self._event = NumberedError("fatal", "characters_reloaded", text, "retry_after_ms")
        self._rate = rate
        self._places = random.sample(range(count), count)

    def __call__(self, character: Character) -> CloseMessage:
        if self._swap.removes:
            return set_removed(self._swap.set)
        if self._swap.policy != "close" and character.name not in self._swap.after:
            return removed(full_name(self._swap.set, character.name), self._reason)
        wait = round(self._places.pop() / self._rate * 1000)
        return CloseMessage(1012, self._reason, "reload", self._event.frame(wait), "characters_reloaded")
