"""Server events to a client of the OpenAI dialects."""

from dataclasses import dataclass, field
from typing import Any

from charhost.web.protocol import beta
from charhost.web.protocol.frames import DeltaFrames, frame
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.sessions.session import Session


@dataclass(eq=False, slots=True)
class Emitter:
    """Sends server events of the GA dialect, in that of the client."""

    _session: Session
    _deltas: DeltaFrames = field(default_factory=DeltaFrames)

    def emit(self, kind: str, sound: int | None = None, /, **fields: Any) -> None:
        """Send an event; one with so many bytes of *sound* may be dropped before it is sent."""
        settings = self._session.settings
        if isinstance(settings, SessionConfig) and settings.dialect == "beta":
            if kind in beta.UNKNOWN:
                return
            kind, fields = beta.KINDS.get(kind, kind), beta.translated(fields)
        render = self._deltas.frame if "delta" in fields else frame
        text = render(kind, **fields)
        if sound is None:
            self._session.send(text)
        else:
            self._session.outbox.put_sound(text, fields["response_id"], sound)
