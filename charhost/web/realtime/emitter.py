"""Server events to a client of the OpenAI dialects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from charhost.jsontext import Json
from charhost.web.protocol import beta
from charhost.web.protocol.frames import DeltaFrames, frame
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.sessions.session import Session


@dataclass(eq=False, slots=True)
class Emitter:
    """Sends server events of the GA dialect, in that of the client."""

    _session: Session

    def emit(self, kind: str, /, **fields: Any) -> None:
        if self._is_beta:
            if kind in beta.UNKNOWN:
                return
            fields = beta.translated(fields)
        self._session.send(frame(self._kind(kind), **fields))

    def deltas(self, kind: str, fields: Json) -> Callable[[str], None]:
        """Return a function that sends an event with these fields and a `delta`."""
        render, put = DeltaFrames(self._kind(kind), fields).frame, self._session.outbox.put
        return lambda delta: put(render(delta))

    def sounds(self, kind: str, fields: Json) -> Callable[[str, int], None]:
        """Return a function that sends an event with so many bytes of sound, which may be dropped before it is sent."""
        render, put = DeltaFrames(self._kind(kind), fields).frame, self._session.outbox.put_sound
        return lambda delta, size: put(render(delta), fields["response_id"], size)

    def _kind(self, kind: str) -> str:
        return beta.KINDS.get(kind, kind) if self._is_beta else kind

    @property
    def _is_beta(self) -> bool:
        settings = self._session.settings
        return isinstance(settings, SessionConfig) and settings.dialect == "beta"
