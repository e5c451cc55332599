"""Realtime client events, checked at the door, and the frames of server events."""

from __future__ import annotations

from itertools import count, repeat
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charhost import jsontext
from charhost.ids import new_id

Dialect = Literal["ga", "beta", "unmute"]

MOST_TEXT = 256 << 10  # a server event that repeats it stays below 1 MiB, which is what many clients take

# They need not be guessed by nobody: it is enough that none comes twice.
_EVENT_IDS = map("".join, zip(repeat(f"{new_id('event')}_"), map(str, count())))


class BadEvent(Exception):
    """What a client sent is no event that can be obeyed; the attributes are the fields of the error event."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class _Lenient(BaseModel):
    """Of the fields that are known each has its type; others are ignored, as clients add new ones every month."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


LongText = Annotated[str, Field(max_length=MOST_TEXT)]


class InputText(_Lenient):
    type: Literal["input_text", "output_text", "text"]
    text: LongText


class InputImage(_Lenient):
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class InputAudio(_Lenient):
    type: Literal["input_audio", "output_audio", "audio"]
    transcript: LongText | None = None


class MessageItem(_Lenient):
    type: Literal["message"]
    id: str | None = Field(None, min_length=1, max_length=512)
    role: Literal["user", "system", "assistant"]
    content: list[Annotated[InputText | InputImage | InputAudio, Field(discriminator="type")]]


class CallItem(_Lenient):
    type: Literal["function_call"]
    id: str | None = Field(None, min_length=1, max_length=512)
    call_id: str = Field(min_length=1, max_length=512)
    name: str = Field(min_length=1, max_length=512)
    arguments: LongText


class OutputItem(_Lenient):
    type: Literal["function_call_output"]
    id: str | None = Field(None, min_length=1, max_length=512)
    call_id: str
    output: LongText


class ItemReference(_Lenient):
    type: Literal["item_reference"]
    id: str


ClientItem = Annotated[MessageItem | CallItem | OutputItem, Field(discriminator="type")]
InputItem = Annotated[MessageItem | CallItem | OutputItem | ItemReference, Field(discriminator="type")]


class SessionUpdate(_Lenient):
    """`session`: see `charhost.wishes`."""

    session: dict[str, Any]


class ItemCreate(_Lenient):
    item: ClientItem
    previous_item_id: str | None = None


class ItemRetrieve(_Lenient):
    item_id: str


class ItemDelete(_Lenient):
    item_id: str


class ItemTruncate(_Lenient):
    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ResponseCreate(_Lenient):
    """`response`: see `charhost.wishes`."""

    response: dict[str, Any] | None = None


class ResponseCancel(_Lenient):
    response_id: str | None = None


class AudioAppend(_Lenient):
    audio: str


class AudioCommit(_Lenient):
    """Nothing but its type."""


class AudioClear(_Lenient):
    """Nothing but its type."""


class OutputClear(_Lenient):
    """Nothing but its type."""


ClientEvent = (
    SessionUpdate
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
    | AudioAppend
    | AudioCommit
    | AudioClear
    | OutputClear
)

KINDS: dict[str, type[ClientEvent]] = {
    "session.update": SessionUpdate,
    "conversation.item.create": ItemCreate,
    "conversation.item.retrieve": ItemRetrieve,
    "conversation.item.delete": ItemDelete,
    "conversation.item.truncate": ItemTruncate,
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
    "input_audio_buffer.append": AudioAppend,
    "input_audio_buffer.commit": AudioCommit,
    "input_audio_buffer.clear": AudioClear,
    "output_audio_buffer.clear": OutputClear,
}


Valid = TypeVar("Valid", bound=BaseModel)


def decoded(text: str) -> dict[str, Any]:
    """Read one event as JSON; raises `BadEvent`."""
    try:
        event = jsontext.decoded(text)
    except ValueError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("type"), str):
        return event
    raise BadEvent("invalid_json", "Expected a JSON object with a string 'type'.")


def event_id_of(event: dict[str, Any]) -> str | None:
    """The id that the client gave an event, to be repeated in an error about it."""
    return event["event_id"] if isinstance(event.get("event_id"), str) else None


def checked(event: dict[str, Any]) -> ClientEvent:
    """Make a typed event of a decoded one; raises `BadEvent`."""
    kind = KINDS.get(event["type"])
    if kind is None:
        raise BadEvent("invalid_value", f"Invalid type. Supported types are: {', '.join(KINDS)}.", "type")
    return valid(kind, event)


def valid(model: type[Valid], data: dict[str, Any], path: str = "") -> Valid:
    """Check *data*, which stands at *path* of an event; raises `BadEvent`."""
    try:
        return model.model_validate(data)
    except ValidationError as e:
        raise _bad_field(dict(e.errors()[0]), data, path) from None


def frame(kind: str, **fields: Any) -> str:
    """Spell a server event as JSON, with an id of its own."""
    return jsontext.encoded({"type": kind, "event_id": next(_EVENT_IDS), **fields}).decode()


class DeltaFrames:
    """Spells the deltas of one session, of which there are thousands: what they have in common is spelled once."""

    def __init__(self) -> None:
        self._common: Any = None
        self._head = self._tail = ""

    def frame(self, kind: str, delta: str, **fields: Any) -> str:
        """Spell one as `frame` does."""
        if self._common != (kind, fields):
            self._common = kind, fields
            self._head = jsontext.encoded({"type": kind}).decode()[:-1] + ',"event_id":"'
            self._tail = '",' + jsontext.encoded(fields).decode()[1:-1] + ',"delta":'
        return f"{self._head}{next(_EVENT_IDS)}{self._tail}{jsontext.encoded(delta).decode()}}}"


def error_event(
    kind: str, code: str, message: str, param: str | None = None, event_id: str | None = None, **more: Any
) -> str:
    """Make an `error` event; *event_id* is the one of the client's event that it answers."""
    fields = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
    return frame("error", error=fields | more)


def refusal(error: BadEvent, event_id: str | None) -> str:
    """Make the `error` event that answers what a client sent."""
    return error_event("invalid_request_error", error.code, str(error), error.param, event_id)


def _bad_field(error: dict[str, Any], data: Any, path: str) -> BadEvent:
    where = _path(error["loc"], data, path)
    kind: str = error["type"]
    if kind in ("missing", "union_tag_not_found"):
        where = where if kind == "missing" else f"{where}.type"
        return BadEvent("missing_required_parameter", f"Missing required parameter: '{where}'.", where)
    if kind == "union_tag_invalid":
        where, known = f"{where}.type", error["ctx"]["expected_tags"].replace("'", "")
        return BadEvent("invalid_value", f"Invalid value for '{where}'. Supported values are: {known}.", where)
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return BadEvent(code, f"Invalid '{where}': {error['msg']}.", where)


def _path(steps: tuple[str | int, ...], data: Any, path: str) -> str:
    """Spell where in *data* pydantic found something, without the tags of unions, which it counts among the steps."""
    tag_passed = False
    for step in steps:
        if isinstance(step, str) and not tag_passed and isinstance(data, dict) and data.get("type") == step and path:
            tag_passed = True
            continue
        tag_passed = False
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            data = None
    return path
