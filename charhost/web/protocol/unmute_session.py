"""The settings of a session in unmute's dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import model_validator

from charhost.web.client_model import ClientModel

Json = dict[str, Any]


class Instructions(ClientModel, extra="allow"):
    """Written by the user if of type `constant`; any other type names one of unmute's own prompts."""

    type: str
    text: str | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Instructions:
        if self.type == "constant" and self.text is None:
            raise ValueError("those of type 'constant' need a 'text'")
        return self


class UnmuteParams(ClientModel):
    """`session` of a `session.update`."""

    instructions: Instructions | None = None
    voice: str | None = None
    allow_recording: bool = False

    @property
    def as_received(self) -> Json:
        """The fields that the client sent; its own table demands `allow_recording`."""
        return self.model_dump(exclude_unset=True) | {"allow_recording": self.allow_recording}


class UnmuteUpdate(ClientModel):
    """The `session.update` of this dialect, mostly the first event."""

    session: UnmuteParams


@dataclass(frozen=True)
class UnmuteSettings:
    """The settings of one client, and whether its character has spoken."""

    params: UnmuteParams = field(default_factory=UnmuteParams)
    greeted: bool = False
    dialect: Literal["unmute"] = "unmute"
    fault_type: str = "fatal"

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> UnmuteSettings:
        """Return the settings that `stored` returned."""
        return cls(UnmuteParams.model_validate(stored["wishes"]), bool(stored["greeted"]))

    def described(self, session_id: str, character: str, longest_wait: int) -> Json:
        """Return the session as the client sent it; this dialect has no other fields."""
        return self.params.as_received

    def stored(self) -> Json:
        """Return the settings as JSON data."""
        return {"wishes": self.params.model_dump(exclude_unset=True), "greeted": self.greeted}
