"""ChatRequest: the body of POST /v1/chat/completions."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, FiniteFloat, WithJsonSchema
from pydantic_core import PydanticCustomError

from charhost.conversation.items import Item
from charhost.conversation.turn_input import TurnOptions
from charhost.jsontext import integer
from charhost.memory.weight import weigh
from charhost.web.completions.messages import RequestMessage
from charhost.web.http.client_model import MOST_MESSAGES, MOST_TOOLS, ClientModel, FirstError


class ToolFunction(BaseModel, extra="allow", strict=True, frozen=True):
    """A function of the client; with `description` and `parameters`, a JSON Schema."""

    name: Annotated[str, Field(min_length=1)]


class Tool(BaseModel, extra="allow", strict=True, frozen=True):
    """A tool that the client runs."""

    type: Literal["function"]
    function: ToolFunction


class ForeignTool(BaseModel, extra="allow", frozen=True):
    """A tool that only OpenAI's own server could run; ignored."""

    type: Annotated[Any, WithJsonSchema({"not": {"const": "function"}})]


def _functions(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [tool for tool in value if not isinstance(tool, dict) or tool.get("type", "function") == "function"]


def _choice(value: Any) -> Any:
    if value is not None and not isinstance(value, (str, dict)):
        raise PydanticCustomError("choice_type", "expected a string or an object")
    return value


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


def _small(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > 1_000:
        raise PydanticCustomError("too_many", "expected at most 1,000 entries")
    return value


_Integer = Annotated[int, BeforeValidator(integer)]


class _Options(ClientModel):
    """The options that are passed on to the model unchanged."""

    temperature: FiniteFloat | None = None
    top_p: FiniteFloat | None = None
    top_k: _Integer | None = None
    min_p: FiniteFloat | None = None
    frequency_penalty: FiniteFloat | None = None
    presence_penalty: FiniteFloat | None = None
    repetition_penalty: FiniteFloat | None = None
    max_tokens: _Integer | None = None
    max_completion_tokens: _Integer | None = None
    stop: Annotated[
        Annotated[list[str], FirstError()] | None,
        BeforeValidator(
            lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=list[str] | str | None
        ),
    ] = None
    seed: _Integer | None = None
    logprobs: bool | None = None
    top_logprobs: _Integer | None = None
    logit_bias: Annotated[dict[str, FiniteFloat] | None, BeforeValidator(_small)] = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None


_OPTIONS = tuple(_Options.model_fields)


class StreamOptions(ClientModel):
    """Additions to a stream."""

    include_usage: bool | None = None


class ChatRequest(_Options, extra="allow"):
    """The messages of a conversation, to which the character responds."""

    model: str = Field(description="The name of a character.")
    messages: Annotated[list[RequestMessage], Field(min_length=1, max_length=MOST_MESSAGES), FirstError()]
    stream: bool | None = Field(default=None, description="Stream the response as server-sent events.")
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=8), BeforeValidator(integer)] | None = Field(
        default=None, description="The number of choices."
    )
    tools: Annotated[
        Annotated[list[Tool], Field(max_length=MOST_TOOLS), FirstError()] | None,
        BeforeValidator(_functions, json_schema_input_type=list[Tool | ForeignTool] | None),
    ] = None
    tool_choice: Annotated[Any, BeforeValidator(_choice, json_schema_input_type=str | dict[str, Any] | None)] = None
    metadata: Annotated[dict[str, Any], BeforeValidator(_object, json_schema_input_type=Any)] | None = Field(
        default=None,
        description='`{"charhost_tools": "visible"}` shows an admin the calls that the server ran.',
    )

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def items(self) -> Iterator[Item]:
        for message in self.messages:
            yield from message.items()

    def turn_options(self, more: Mapping[str, Any] = MappingProxyType({})) -> TurnOptions:
        """Return the options of the turn, with *more* for the model."""
        options = {name: value for name in _OPTIONS if (value := getattr(self, name)) is not None}
        tools = [tool.model_dump() for tool in self.tools or ()]
        return TurnOptions(
            tools=tools,
            tool_choice=self.tool_choice,
            options=options | dict(more),
            may_greet=False,
            weight=weigh(tools),
            choices=self.n or 1,
        )
