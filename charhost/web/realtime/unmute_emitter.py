"""Server events to a client of unmute's dialect."""

from dataclasses import dataclass
from typing import Any

from charhost.web.protocol.frames import frame
from charhost.web.sessions.session import Session


@dataclass(eq=False, slots=True)
class UnmuteEmitter:
    _session: Session

    def emit(self, kind: str, **fields: Any) -> None:
        self._session.send(frame(kind, **fields))

    def emit_error(self, kind: str, message: str, details: Any, code: str | None = None) -> None:
        fields = {"type": kind, "code": code, "message": message, "param": None, "details": details}
        self.emit("error", error=fields)
