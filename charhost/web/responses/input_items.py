"""The input items of a Responses request, and the conversation items that they are."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from charhost.conversation.items import FunctionCall, FunctionOutput, Image, Item, Message, Part, Text
from charhost.web.http.client_model import TAG, ClientModel, FirstError
from charhost.web.openai.message_content import RefusalPart, RequestRole, item_role, part_list, result_text


class TextPart(ClientModel):
    type: Literal["input_text", "output_text", "text", "summary_text"]
    text: str

    @property
    def part(self) -> Part:
        return Text(self.text)


class ImagePart(ClientModel):
    type: Literal["input_image"]
    image_url: str
    detail: str | None = None

    @property
    def part(self) -> Part:
        return Image(self.image_url, self.detail)


def _part_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    known = {"input_image": "image", "refusal": "refusal"}
    return TAG + known.get(str(kind), "text")


_Part = Annotated[
    Annotated[TextPart, Tag(f"{TAG}text")]
    | Annotated[RefusalPart, Tag(f"{TAG}refusal")]
    | Annotated[ImagePart, Tag(f"{TAG}image")],
    Discriminator(_part_kind),
]
Content = Annotated[list[_Part], FirstError(), BeforeValidator(part_list, json_schema_input_type=list[_Part] | str)]


class InputMessage(ClientModel):
    type: Literal["message"] = "message"
    role: RequestRole
    content: Content

    def items(self, known: Mapping[str, Item]) -> Iterator[Item]:
        yield Message(role=item_role(self.role), parts=tuple(part.part for part in self.content))


class InputCall(ClientModel):
    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    arguments: str

    def items(self, known: Mapping[str, Item]) -> Iterator[Item]:
        yield FunctionCall(call_id=self.call_id, name=self.name, arguments=self.arguments)


class InputOutput(ClientModel):
    """The result of a call."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: Content

    def items(self, known: Mapping[str, Item]) -> Iterator[Item]:
        yield FunctionOutput(call_id=self.call_id, output=result_text(part.part for part in self.output))


class Reference(ClientModel):
    """An item of an earlier response of the chain, by its id."""

    type: Literal["item_reference"]
    id: str

    def items(self, known: Mapping[str, Item]) -> Iterator[Item]:
        if self.id in known:
            yield known[self.id]


class Ignored(ClientModel):
    """Reasoning, of which the model needs nothing back."""

    type: Literal["reasoning"]

    def items(self, known: Mapping[str, Item]) -> Iterator[Item]:
        return iter(())


_KINDS = {
    "message": "message",
    "function_call": "call",
    "function_call_output": "output",
    "item_reference": "reference",
    "reasoning": "ignored",
}


def _item_kind(value: Any) -> str | None:
    kind = value.get("type", "message") if isinstance(value, dict) else "message"
    return TAG + _KINDS[kind] if isinstance(kind, str) and kind in _KINDS else None


InputItem = Annotated[
    Annotated[InputMessage, Tag(f"{TAG}message")]
    | Annotated[InputCall, Tag(f"{TAG}call")]
    | Annotated[InputOutput, Tag(f"{TAG}output")]
    | Annotated[Reference, Tag(f"{TAG}reference")]
    | Annotated[Ignored, Tag(f"{TAG}ignored")],
    Discriminator(
        _item_kind,
        custom_error_type="unknown_item",
        custom_error_message=f"expected an item of type {', '.join(_KINDS)}",
    ),
]


def input_fields(item: Item) -> dict[str, Any]:
    """Return an item of an input as the Responses API lists it."""
    fields: dict[str, Any]
    match item:
        case FunctionCall(id=item_id, call_id=call_id, name=name, arguments=arguments):
            fields = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case FunctionOutput(id=item_id, call_id=call_id, output=output):
            fields = {"type": "function_call_output", "call_id": call_id, "output": output}
        case Message(id=item_id, role=role, parts=parts):
            fields = {"type": "message", "role": role, "content": [_part_fields(part, role) for part in parts]}
    return {"id": item_id, "status": "completed", **fields}


def _part_fields(part: Part, role: str) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}
    text = part.text if isinstance(part, Text) else ""
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
