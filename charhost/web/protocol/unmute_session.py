"""The settings of a session in unmute's dialect."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from charhost.jsontext import Json
from charhost.web.http.client_model import ClientModel


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
    instructions: Instructions | None = None
    voice: str | None = None
    allow_recording: bool = False

    @property
    def as_received(self) -> Json:
        """The fields that the client sent; its own table demands `allow_recording`."""
        return self.model_dump(exclude_unset=True) | {"allow_recording": self.allow_recording}


class UnmuteUpdate(ClientModel):
    session: UnmuteParams


class UnmuteSettings(ClientModel):
    """The settings of one client, and whether its character has spoken."""

    fault_type: ClassVar = "fatal"
    dialect: ClassVar[Literal["unmute"]] = "unmute"
    params: UnmuteParams = Field(default=UnmuteParams(), alias="wishes")  # the name in state files
    greeted: bool = False

    def described(self, session_id: str, character: str, longest_wait: int) -> Json:
        """Return the session as the client sent it; this dialect has no other fields."""
        return self.params.as_received

    def stored(self) -> Json:
        return {"wishes": self.params.model_dump(exclude_unset=True), "greeted": self.greeted}
