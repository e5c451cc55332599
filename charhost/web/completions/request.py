"""ChatRequest: the body of POST /v1/chat/completions, and what it means to a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from charhost.conversation.items import FunctionCall, FunctionOutput, Image, Item, Message, Other, Part, Text
from charhost.conversation.turn_context import TurnOptions
from charhost.jsontext import decoded
from charhost.text import FieldProblem, field_path, field_problems
from charhost.web.client_model import ClientModel, FirstError
from charhost.web.problems import Problem

MOST_CHOICES = 8
MOST_MESSAGES = 20_000

# Begins the names that tell the members of a union apart: pydantic counts them among the steps of a path.
_TAG = "~"


class TextPart(ClientModel):
    """Words."""

    type: Literal["text"]
    text: str

    @property
    def part(self) -> Part:
        return Text(self.text)


class RefusalPart(ClientModel):
    """Words that an assistant refused with."""

    type: Literal["refusal"]
    text: str = Field(validation_alias="refusal")

    @property
    def part(self) -> Part:
        return Text(self.text)


class ImageUrl(ClientModel):
    """Where an image is; `data:` URLs too."""

    url: str
    detail: str | None = None


def _url_object(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ImagePart(ClientModel):
    """An image, for models that can see."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_url_object, json_schema_input_type=str | ImageUrl)]

    @property
    def part(self) -> Part:
        return Image(self.image_url.url, self.image_url.detail)


class OtherPart(BaseModel):
    """Audio, a file, or what else some model may understand."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    type: Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": ["text", "refusal", "image_url"]}})]

    @property
    def part(self) -> Part:
        return Other(self.model_dump())


def _part_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return f"{_TAG}{kind if kind in ('text', 'refusal', 'image_url') else 'other'}"


def _part_list(value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return [{"type": "text", "text": value}] if value else []
    if not isinstance(value, list):
        raise PydanticCustomError("content_type", "expected a string, null or a list of parts")
    return value


_Part = Annotated[
    Annotated[TextPart, Tag(f"{_TAG}text")]
    | Annotated[RefusalPart, Tag(f"{_TAG}refusal")]
    | Annotated[ImagePart, Tag(f"{_TAG}image_url")]
    | Annotated[OtherPart, Tag(f"{_TAG}other")],
    Discriminator(_part_kind),
]
_Content = Annotated[
    list[_Part], FirstError(), BeforeValidator(_part_list, json_schema_input_type=list[_Part] | str | None)
]


class CalledFunction(ClientModel):
    """Which function, and with what."""

    name: str
    arguments: str


class Call(ClientModel):
    """A call that the model made earlier."""

    id: str
    function: CalledFunction


class Said(ClientModel):
    """A message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: _Content = Field(default_factory=list)
    name: str | None = None
    tool_calls: Annotated[list[Call], FirstError()] | None = None

    def items(self) -> Iterator[Item]:
        """Yield the words, and then the calls."""
        calls = self.tool_calls if self.role == "assistant" and self.tool_calls else ()
        parts = tuple(part.part for part in self.content)
        if parts or not calls:
            role = "system" if self.role == "developer" else self.role
            yield Message(role=role, parts=parts, name=self.name or None)
        for call in calls:
            yield FunctionCall(call_id=call.id, name=call.function.name, arguments=call.function.arguments)


class ToolResult(ClientModel):
    """What a call brought."""

    role: Literal["tool"]
    tool_call_id: str
    content: _Content = Field(default_factory=list)

    def items(self) -> Iterator[Item]:
        """Yield what a call brought."""
        output = "\n".join(part.text for part in self.content if isinstance(part, TextPart | RefusalPart))
        yield FunctionOutput(call_id=self.tool_call_id, output=output)


class Legacy(ClientModel):
    """The result of a function in the way of 2023: without an id, so nobody can say of which call."""

    role: Literal["function"]

    def items(self) -> Iterator[Item]:
        """Yield nothing."""
        return iter(())


def _message_kind(value: Any) -> str:
    role = value.get("role") if isinstance(value, dict) else None
    return _TAG + (role if role in ("tool", "function") else "said")


_Message = Annotated[
    Annotated[Said, Tag(f"{_TAG}said")]
    | Annotated[ToolResult, Tag(f"{_TAG}tool")]
    | Annotated[Legacy, Tag(f"{_TAG}function")],
    Discriminator(_message_kind),
]


class Function(BaseModel):
    """A function that the client can call; with `description` and `parameters`, a JSON Schema."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: Annotated[str, Field(min_length=1)]


class Tool(BaseModel):
    """A tool of the client's."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    type: Literal["function"]
    function: Function


class ForeignTool(BaseModel):
    """A tool that only OpenAI's own server could run; it is left out."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Annotated[Any, WithJsonSchema({"not": {"const": "function"}})]


def _functions(value: Any) -> Any:
    """Leave out tools that only OpenAI's own server could run."""
    if not isinstance(value, list):
        return value
    return [tool for tool in value if not isinstance(tool, dict) or tool.get("type", "function") == "function"]


def _choice(value: Any) -> Any:
    if value is not None and not isinstance(value, (str, dict)):
        raise PydanticCustomError("choice_type", "expected a string or an object")
    return value


def _small(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > 1_000:
        raise PydanticCustomError("too_many", "expected at most 1,000 entries")
    return value


def _string_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    """Read 2.0 as 2: in JSON both are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class _Options(ClientModel):
    """What is passed on to the model as it is."""

    temperature: FiniteFloat | None = None
    top_p: FiniteFloat | None = None
    top_k: Whole | None = None
    min_p: FiniteFloat | None = None
    frequency_penalty: FiniteFloat | None = None
    presence_penalty: FiniteFloat | None = None
    repetition_penalty: FiniteFloat | None = None
    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = None
    stop: Annotated[
        Annotated[list[str], FirstError()] | None,
        BeforeValidator(_string_list, json_schema_input_type=list[str] | str | None),
    ] = None
    seed: Whole | None = None
    logit_bias: Annotated[dict[str, FiniteFloat] | None, BeforeValidator(_small)] = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None


class StreamOptions(ClientModel):
    """What else a stream tells."""

    include_usage: bool | None = None


class ChatRequest(_Options):
    """One question, with all that was said before."""

    model: str = Field(description="The name of a character.")
    messages: Annotated[list[_Message], Field(min_length=1, max_length=MOST_MESSAGES), FirstError()]
    stream: bool | None = Field(default=None, description="Answer piece by piece, as server-sent events.")
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES), BeforeValidator(_whole)] | None = Field(
        default=None, description="How many answers."
    )
    tools: Annotated[
        Annotated[list[Tool], FirstError()] | None,
        BeforeValidator(_functions, json_schema_input_type=list[Tool | ForeignTool] | None),
    ] = None
    tool_choice: Annotated[Any, BeforeValidator(_choice, json_schema_input_type=str | dict[str, Any] | None)] = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def items(self) -> Iterator[Item]:
        """Yield what was said, as the items of a conversation."""
        for message in self.messages:
            yield from message.items()

    def turn_options(self) -> TurnOptions:
        """Return the options that the client sets for the response."""
        options = {name: getattr(self, name) for name in _Options.model_fields}
        return TurnOptions(
            tools=[tool.model_dump() for tool in self.tools or ()],
            tool_choice=self.tool_choice,
            options={name: value for name, value in options.items() if value is not None},
        )


def chat_request(body: bytes) -> ChatRequest:
    """Read the body of a request; raises `Problem`."""
    try:
        fields = decoded(body)
    except ValueError:
        raise Problem(400, "invalid_type", "The body is no JSON; expected a JSON object.") from None
    if not isinstance(fields, dict):
        detail = f"The body is JSON of type {type(fields).__name__}; expected an object."
        raise Problem(400, "invalid_type", detail)
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError as e:
        raise _refused(next(field_problems(e))) from None


def _refused(problem: FieldProblem) -> Problem:
    path = field_path(step for step in problem.steps if not str(step).startswith(_TAG))
    kind = problem.kind
    if kind == "missing":
        return Problem(400, "missing_required_parameter", f"Missing required parameter: '{path}'.", param=path)
    if kind == "too_short":
        detail = f"'{path}' is empty: expected at least one message."
        return Problem(400, "missing_required_parameter", detail, param=path)
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return Problem(400, code, f"Invalid '{path}': {problem.text}.", param=path)
