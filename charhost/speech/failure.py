"""The failures of engines."""

from typing import Literal

from charhost.errors import CharhostError

SpeechErrorType = Literal["unreachable", "timeout", "busy", "refused", "malformed"]


class SpeechError(CharhostError):
    """An engine's failure, with a text that may be shown to clients: it holds neither the engine's URL nor its key."""

    def __init__(self, error_type: SpeechErrorType, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
