"""The messages of a chat-completions request, and the conversation items that they are."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from charhost.conversation.items import Attached, FunctionCall, FunctionOutput, Image, Item, Message, Other, Part, Text
from charhost.web.http.client_model import TAG, ClientModel, FirstError
from charhost.web.openai.message_content import RefusalPart, RequestRole, item_role, part_list, result_text


class TextPart(ClientModel):
    """A text."""

    type: Literal["text"]
    text: str

    @property
    def part(self) -> Part:
        return Text(self.text)


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

    @property
    def part(self) -> Part:
        return Image(self.image_url.url, self.image_url.detail)


class OtherPart(BaseModel, extra="allow", strict=True, frozen=True):
    """Audio, a file, or another part that some models support."""

    type: Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": ["text", "refusal", "image_url"]}})]

    @property
    def part(self) -> Part:
        return Other({"type": self.type, **(self.model_extra or {})})


def _part_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return f"{TAG}{kind if kind in ('text', 'refusal', 'image_url') else 'other'}"


def _part_list(value: Any) -> Any:
    return [] if value is None else part_list(value)


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


class CalledFunction(ClientModel):
    """The function of a call and its arguments."""

    name: str
    arguments: str = Field(description="JSON, as the model wrote it.")


# Fields of OpenAI's own messages that requests do not need; others are the attachments of a model's server.
_KNOWN = frozenset(("id", "type", "index", "refusal", "annotations", "audio", "function_call"))


def _attached(sent: BaseModel) -> dict[str, Any]:
    fields = sent.model_extra or {}
    return {name: value for name, value in fields.items() if name not in _KNOWN and value is not None}


class Call(ClientModel, extra="allow"):
    """An earlier call by the model, with its server's attachments."""

    id: str
    function: CalledFunction


class ChatMessage(ClientModel, extra="allow"):
    """A message of the user, the assistant or the system; that of the assistant with its server's attachments."""

    role: RequestRole
    content: Content = Field(default_factory=list)
    name: str | None = None
    tool_calls: Annotated[list[Call], FirstError()] | None = None

    def items(self) -> Iterator[Item]:
        calls = self.tool_calls if self.role == "assistant" and self.tool_calls else ()
        parts = tuple(part.part for part in self.content)
        attached = _attached(self) if self.role == "assistant" else {}
        if parts or not calls:
            fields = Attached.of(None, attached, {})
            yield Message(role=item_role(self.role), parts=parts, name=self.name or None, attached=fields)
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
        yield FunctionOutput(call_id=self.tool_call_id, output=result_text(part.part for part in self.content))


class FunctionResult(ClientModel):
    """The result of a function in the format of 2023; ignored, since it has no call id."""

    role: Literal["function"]

    def items(self) -> Iterator[Item]:
        return iter(())


def _message_kind(value: Any) -> str:
    role = value.get("role") if isinstance(value, dict) else None
    return TAG + (role if role in ("tool", "function") else "chat")


RequestMessage = Annotated[
    Annotated[ChatMessage, Tag(f"{TAG}chat")]
    | Annotated[ToolResult, Tag(f"{TAG}tool")]
    | Annotated[FunctionResult, Tag(f"{TAG}function")],
    Discriminator(_message_kind),
]
