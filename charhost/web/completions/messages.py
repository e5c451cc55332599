"""The messages of a chat-completions request, and the conversation items that they are."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from charhost.conversation.items import (
    Attached,
    FunctionCall,
    FunctionOutput,
    Image,
    Item,
    Message,
    Other,
    Part,
    Text,
)
from charhost.web.client_model import TAG, ClientModel, FirstError


class TextPart(ClientModel):
    """A text."""

    type: Literal["text"]
    text: str


class RefusalPart(ClientModel):
    """The text of an assistant's refusal."""

    type: Literal["refusal"]
    text: str = Field(validation_alias="refusal")


class ImageUrl(ClientModel):
    """The address of an image, also a `data:` URL."""

    url: str
    detail: str | None = None


class ImagePart(ClientModel):
    """An image, for models that can see."""

    type: Literal["image_url"]
    image_url: Annotated[
        ImageUrl,
        BeforeValidator(
            lambda value: {"url": value} if isinstance(value, str) else value, json_schema_input_type=str | ImageUrl
        ),
    ]


class OtherPart(BaseModel, extra="allow", strict=True, frozen=True):
    """Audio, a file, or another part that some models support."""

    type: Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": ["text", "refusal", "image_url"]}})]


def _part_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return f"{TAG}{kind if kind in ('text', 'refusal', 'image_url') else 'other'}"


def _part_list(value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return [{"type": "text", "text": value}] if value else []
    if not isinstance(value, list):
        raise PydanticCustomError("content_type", "expected a string, null or a list of parts")
    return value


_Part = Annotated[
    Annotated[TextPart, Tag(f"{TAG}text")]
    | Annotated[RefusalPart, Tag(f"{TAG}refusal")]
    | Annotated[ImagePart, Tag(f"{TAG}image_url")]
    | Annotated[OtherPart, Tag(f"{TAG}other")],
    Discriminator(_part_kind),
]
Content = Annotated[
    list[_Part], FirstError(), BeforeValidator(_part_list, json_schema_input_type=list[_Part] | str | None)
]


def _part(part: TextPart | RefusalPart | ImagePart | OtherPart) -> Part:
    match part:
        case ImagePart(image_url=image):
            return Image(image.url, image.detail)
        case OtherPart():
            return Other(part.model_dump())
    return Text(part.text)


class CalledFunction(ClientModel):
    """The function of a call and its arguments."""

    name: str
    arguments: str = Field(description="JSON, as the model wrote it.")


# Fields of OpenAI's own messages that requests do not need; others are what a model's server attached.
_KNOWN = frozenset(("id", "type", "index", "refusal", "annotations", "audio", "function_call"))


def _attached(sent: BaseModel) -> dict[str, Any]:
    fields = sent.model_extra or {}
    return {name: value for name, value in fields.items() if name not in _KNOWN and value is not None}


class Call(ClientModel, extra="allow"):
    """An earlier call by the model, with what its server attached to it."""

    id: str
    function: CalledFunction


class ChatMessage(ClientModel, extra="allow"):
    """A message of the user, the assistant or the system; that of the assistant with what its server attached."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content = Field(default_factory=list)
    name: str | None = None
    tool_calls: Annotated[list[Call], FirstError()] | None = None

    def items(self) -> Iterator[Item]:
        calls = self.tool_calls if self.role == "assistant" and self.tool_calls else ()
        parts = tuple(map(_part, self.content))
        attached = _attached(self) if self.role == "assistant" else {}
        if parts or not calls:
            role = "system" if self.role == "developer" else self.role
            yield Message(role=role, parts=parts, name=self.name or None, attached=Attached.of(None, attached, {}))
            attached = {}
        for call in calls:
            function, fields = call.function, Attached.of(None, attached, _attached(call))
            yield FunctionCall(call_id=call.id, name=function.name, arguments=function.arguments, attached=fields)
            attached = {}


class ToolResult(ClientModel):
    """The result of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: Content = Field(default_factory=list)

    def items(self) -> Iterator[Item]:
        output = "\n".join(part.text for part in self.content if isinstance(part, TextPart | RefusalPart))
        yield FunctionOutput(call_id=self.tool_call_id, output=output)


class FunctionResult(ClientModel):
    """The result of a function in the format of 2023; ignored, since it has no call id."""

    role: Literal["function"]

    def items(self) -> Iterator[Item]:
        return iter(())


def _message_kind(value: Any) -> str:
    role = value.get("role") if isinstance(value, dict) else None
    return TAG + (role if role in ("tool", "function") else "said")


RequestMessage = Annotated[
    Annotated[ChatMessage, Tag(f"{TAG}said")]
    | Annotated[ToolResult, Tag(f"{TAG}tool")]
    | Annotated[FunctionResult, Tag(f"{TAG}function")],
    Discriminator(_message_kind),
]
