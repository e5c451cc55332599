"""The events that unmute's clients accept, and a page of their audio."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tests.web.realtime.event_grammar import CharactersListed, CharactersReloaded

OGG_PAGE = base64.b64encode(b"OggS\x00\x00" + bytes(40)).decode()


class Strict(BaseModel):
    """No other keys, no other types: the load test raises on anything that it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Event(Strict):
    event_id: str


class Instructions(Strict):
    type: Literal["constant", "smalltalk", "quiz_show", "guess_animal", "news", "unmute_explanation"]
    text: str | None = None
    language: str | None = None


class SessionConfig(Strict):
    instructions: Instructions | None = None
    voice: str | None = None
    allow_recording: bool


class SessionUpdated(Event):
    type: Literal["session.updated"]
    session: SessionConfig


class HistoryMessage(Strict):
    role: Literal["user", "assistant"]
    content: str


class Response(Strict):
    object: Literal["realtime.response"]
    status: Literal["in_progress"]
    voice: str
    chat_history: list[HistoryMessage]


class ResponseCreated(Event):
    type: Literal["response.created"]
    response: Response


class Ready(Event):
    type: Literal["unmute.response.text.delta.ready"]
    delta: str


class TextDelta(Event):
    type: Literal["response.text.delta"]
    delta: str = Field(pattern=r"^\S+$")


class TextDone(Event):
    type: Literal["response.text.done"]
    text: str


class Outputs(Strict):
    chat_history: list[HistoryMessage] = Field(min_length=1)
    debug_dict: dict[str, Any]
    debug_plot_data: list[Any]


class AdditionalOutputs(Event):
    type: Literal["unmute.additional_outputs"]
    args: Outputs


class AudioDelta(Event):
    type: Literal["response.audio.delta"]
    delta: str


class AudioDone(Event):
    type: Literal["response.audio.done"]


class Transcribed(Event):
    type: Literal["conversation.item.input_audio_transcription.delta"]
    delta: str = Field(pattern=r"^\S+$")
    start_time: float


class Plain(Event):
    type: Literal["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "unmute.interrupted_by_vad"]


class Problem(Strict):
    type: Literal["invalid_request_error", "server_error"]
    code: str | None
    message: str
    param: None
    details: str | dict[str, Any] | None


class Farewell(BaseModel):
    """The event before a close by the server, which has the shape of the GA dialect."""

    type: Literal["fatal", "server_error"]
    code: str
    message: str


class Error(Event):
    type: Literal["error"]
    error: Annotated[Problem | Farewell, Field(union_mode="left_to_right")]


AnyEvent = Annotated[
    SessionUpdated
    | ResponseCreated
    | Ready
    | TextDelta
    | TextDone
    | AdditionalOutputs
    | AudioDelta
    | AudioDone
    | Transcribed
    | Plain
    | Error
    | CharactersListed
    | CharactersReloaded,
    Field(discriminator="type"),
]


TABLE: TypeAdapter[Any] = TypeAdapter(AnyEvent)
