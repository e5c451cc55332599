"""Realtime client events: their models, and how they are checked."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from charhost import jsontext
from charhost.text import FieldProblem, field_path, field_problems, quoted
from charhost.web.http.client_model import ClientModel, FirstError
from charhost.web.protocol.frames import InvalidEvent

Dialect = Literal["ga", "beta", "unmute"]

MOST_TEXT = 256 << 10
# The server repeats them in two events.
_MOST_PARTS = 20_000

Id = Annotated[str, Field(max_length=512)]
NewId = Annotated[str, Field(min_length=1, max_length=512)]
LongText = Annotated[str, Field(max_length=MOST_TEXT)]


class InputText(ClientModel):
    type: Literal["input_text", "output_text", "text"]
    text: LongText


class InputImage(ClientModel):
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class InputAudio(ClientModel):
    type: Literal["input_audio", "output_audio", "audio"]
    transcript: LongText | None = None
    audio: str | None = None  # base64


class MessageItem(ClientModel):
    type: Literal["message"]
    id: NewId | None = None
    role: Literal["user", "system", "assistant"]
    content: Annotated[
        list[Annotated[InputText | InputImage | InputAudio, Field(discriminator="type")]],
        Field(max_length=_MOST_PARTS),
        FirstError(),
    ]


class CallItem(ClientModel):
    type: Literal["function_call"]
    id: NewId | None = None
    call_id: NewId
    name: NewId
    arguments: LongText


class OutputItem(ClientModel):
    type: Literal["function_call_output"]
    id: NewId | None = None
    call_id: Id
    output: LongText


class ItemReference(ClientModel):
    type: Literal["item_reference"]
    id: Id


ClientItem = Annotated[MessageItem | CallItem | OutputItem, Field(discriminator="type")]
InputItem = Annotated[MessageItem | CallItem | OutputItem | ItemReference, Field(discriminator="type")]


class SessionUpdate(ClientModel):
    session: dict[str, Any]  # see `charhost.web.protocol.session_params`, also for `response`


class ItemCreate(ClientModel):
    item: ClientItem
    previous_item_id: Id | None = None


class ItemEvent(ClientModel):
    """Retrieves or deletes an item."""

    type: str
    item_id: Id


class ItemTruncate(ClientModel):
    item_id: Id
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ResponseCreate(ClientModel):
    response: dict[str, Any] | None = None


class ResponseCancel(ClientModel):
    response_id: Id | None = None


class AudioAppend(ClientModel):
    audio: str


class BufferEvent(ClientModel):
    """Commits or clears a buffer of audio."""

    type: str


KINDS: dict[str, type[ClientModel]] = {
    "session.update": SessionUpdate,
    "conversation.item.create": ItemCreate,
    "conversation.item.retrieve": ItemEvent,
    "conversation.item.delete": ItemEvent,
    "conversation.item.truncate": ItemTruncate,
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
    "input_audio_buffer.append": AudioAppend,
    "input_audio_buffer.commit": BufferEvent,
    "input_audio_buffer.clear": BufferEvent,
    "output_audio_buffer.clear": BufferEvent,
}

# Those that every dialect knows (`charhost.web.realtime.character_commands`).
CHARACTER_KINDS = ("session.characters.list", "session.characters.reload")

Valid = TypeVar("Valid", bound=BaseModel)


def decoded(text: str) -> dict[str, Any]:
    """Return the fields of an event in JSON; raises `InvalidEvent`."""
    try:
        jsontext.bound(text)
        event = jsontext.bounded(text)
    except jsontext.TooManyValues as e:
        raise InvalidEvent("request_too_large", f"The event is too large: {e}.") from None
    except ValueError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("type"), str):
        return event
    raise InvalidEvent("invalid_json", "Expected a JSON object with a string 'type'.")


def event_id_of(event: dict[str, Any]) -> str | None:
    """Return the id that the client gave an event; an error about the event repeats it."""
    event_id = event.get("event_id")
    return event_id if isinstance(event_id, str) and len(event_id) <= 512 else None


def checked(event: dict[str, Any]) -> ClientModel:
    """Raise `InvalidEvent` for an unknown type or a wrong field."""
    kind = KINDS.get(event["type"])
    if kind is None:
        raise unknown_type(event, (*KINDS, *CHARACTER_KINDS))
    return valid(kind, event)


def unknown_type(event: dict[str, Any], known: Iterable[str]) -> InvalidEvent:
    text = f"Unknown type {quoted(event['type'])}. Supported types are: {', '.join(known)}."
    return InvalidEvent("invalid_value", text, "type")


def valid(model: type[Valid], data: dict[str, Any], path: str = "") -> Valid:
    """Return *data*, the part at *path* of an event, as *model*; raises `InvalidEvent`."""
    try:
        return model.model_validate(data)
    except ValidationError as e:
        raise _bad_field(next(field_problems(e)), data, path) from None


def _bad_field(problem: FieldProblem, data: Any, path: str) -> InvalidEvent:
    where = field_path(_without_tags(problem.steps, data), path)
    if problem.kind == "missing":
        return _missing(where)
    if problem.kind == "union_tag_not_found":
        return _missing(f"{where}.type")
    if problem.kind == "union_tag_invalid":
        known = problem.context["expected_tags"].replace("'", "")
        text = f"Invalid value for '{where}.type'. Supported values are: {known}."
        return InvalidEvent("invalid_value", text, f"{where}.type")
    code = "invalid_type" if problem.kind.endswith("_type") else "invalid_value"
    return InvalidEvent(code, f"Invalid '{where}': {problem.text}.", where)


def _missing(where: str) -> InvalidEvent:
    return InvalidEvent("missing_required_parameter", f"Missing required parameter: '{where}'.", where)


def _without_tags(steps: tuple[str | int, ...], data: Any) -> Iterator[str | int]:
    """Yield *steps* into *data* without the tags of unions, which pydantic counts among them."""
    for step in steps[:-1]:
        if not isinstance(data, dict) or data.get("type") != step:
            yield step
            data = data[step]
    yield steps[-1]
