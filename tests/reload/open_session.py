"""An open session of the model, and the checks of its next event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.reload.model import Entry


@dataclass
class Talk:
    """One open session, and its character and generation in the model."""

    id: str
    socket: ClientWebSocketResponse
    entry: Entry
    generation: int

    async def is_undisturbed(self) -> None:
        """Check that nothing was sent since, by the response to an update, which names the character."""
        await self.socket.send_json({"type": "session.update", "session": {}})
        answer = await self.socket.receive_json(timeout=60)
        assert answer["type"] == "session.updated", answer
        assert answer["session"]["model"] == self.entry.name

    async def follows(self) -> None:
        """Check that the client receives `session.updated`, since its character is new under the same name."""
        event = await self.socket.receive_json(timeout=60)
        assert (event["type"], event["session"]["model"]) == ("session.updated", self.entry.name)

    async def is_notified(self, directory: Path, *, gone: bool) -> None:
        """Check that the last messages are the fatal event and the close."""
        event = await self.socket.receive_json(timeout=60)
        code = "character_removed" if gone else "characters_reloaded"
        assert (event["type"], event["error"]["type"], event["error"]["code"]) == ("error", "fatal", code)
        close = await self.socket.receive(timeout=60)
        assert (close.type, close.data) == (WSMsgType.CLOSE, 4004 if gone else 1012)
        assert gone or close.extra == f"Characters reloaded from {directory}"[:123]
