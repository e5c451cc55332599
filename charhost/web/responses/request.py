"""ResponsesRequest: the body of POST /v1/responses."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, WithJsonSchema
from pydantic_core import PydanticCustomError

from charhost.conversation.items import Item
from charhost.conversation.turn_input import TurnOptions
from charhost.jsontext import integer
from charhost.memory.weight import weigh
from charhost.web.http.client_model import MOST_MESSAGES, MOST_TOOLS, ClientModel, FirstError
from charhost.web.responses.input_items import InputItem

_MOST_METADATA = 16
_LOGPROBS = "message.output_text.logprobs"


class FunctionTool(ClientModel):
    """A function of the client; `parameters` is a JSON Schema."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def as_chat_tool(self) -> Mapping[str, Any]:
        return {"type": "function", "function": self.model_dump(exclude={"type"}, exclude_none=True)}


def _function_tool(value: Any) -> Any:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind != "function":
        raise PydanticCustomError(
            "unsupported_tool",
            "a tool of type {kind} runs on OpenAI's own server; expected tools of type function",
            {"kind": repr(kind)},
        )
    return value


class NamedTool(ClientModel):
    """A choice of one function."""

    type: Literal["function"]
    name: str


class AllowedTools(ClientModel):
    """A choice among some of the functions."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class Reasoning(ClientModel):
    effort: str | None = None
    summary: str | None = None


class TextFormat(ClientModel):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None

    def as_response_format(self) -> Mapping[str, Any]:
        if self.type != "json_schema":
            return {"type": self.type}
        schema = self.model_dump(exclude={"type"}, exclude_none=True, by_alias=True)
        return {"type": "json_schema", "json_schema": schema}


class TextOptions(ClientModel):
    format: TextFormat | None = None
    verbosity: str | None = None


def _input(value: Any) -> Any:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def _absent(value: Any) -> Any:
    if value is not None and value is not False:  # 0 equals False
        raise PydanticCustomError("unsupported", "this field is not supported here; leave it out")
    return value


_Unsupported = Annotated[Any, BeforeValidator(_absent), WithJsonSchema({"enum": [None, False]})]
_Metadata = Annotated[dict[str, str], Field(max_length=_MOST_METADATA)]


class ResponsesRequest(ClientModel, extra="allow"):
    """The input of one response of a character."""

    model: str = Field(description="The name of a character.")
    input: Annotated[
        list[InputItem],
        Field(min_length=1, max_length=MOST_MESSAGES),
        FirstError(),
        BeforeValidator(_input, json_schema_input_type=str | Annotated[list[InputItem], Field(min_length=1)]),
    ]
    instructions: str | None = None
    previous_response_id: str | None = Field(None, description="The id of a stored response to go on from.")
    store: bool | None = Field(None, description="Keep the response for later ones (default: true).")
    stream: bool | None = Field(None, description="Stream the response as server-sent events.")
    tools: Annotated[
        list[Annotated[FunctionTool, BeforeValidator(_function_tool, json_schema_input_type=FunctionTool)]],
        Field(max_length=MOST_TOOLS),
        FirstError(),
    ] = Field(default_factory=list)
    tool_choice: Literal["auto", "none", "required"] | NamedTool | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    temperature: FiniteFloat | None = None
    top_p: FiniteFloat | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), BeforeValidator(integer)] | None = None
    include: Annotated[list[str], FirstError()] | None = Field(
        None, description=f"With `{_LOGPROBS}` the texts have the log probabilities of their tokens."
    )
    max_output_tokens: Annotated[int, Field(ge=1), BeforeValidator(integer)] | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    metadata: _Metadata | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    background: _Unsupported = None
    conversation: _Unsupported = None
    prompt: _Unsupported = None

    @property
    def is_stored(self) -> bool:
        return self.store is not False

    def items(self, known: Mapping[str, Item]) -> Iterator[Item]:
        """Yield the items of the input; *known* are those that it may refer to, by their id."""
        for item in self.input:
            yield from item.items(known)

    def turn_options(self, more: Mapping[str, Any] = MappingProxyType({})) -> TurnOptions:
        """Return the options of the turn, with *more* for the model."""
        tools = [tool.as_chat_tool() for tool in self.tools]
        return TurnOptions(
            instructions=self.instructions or "",
            tools=tools,
            tool_choice=self._tool_choice(),
            options={name: value for name, value in self._options() if value is not None} | dict(more),
            may_greet=False,
            weight=weigh(tools),
        )

    def _tool_choice(self) -> str | Mapping[str, Any] | None:
        match self.tool_choice:
            case NamedTool(name=name):
                return {"type": "function", "function": {"name": name}}
            case AllowedTools(mode=mode):
                return mode
            case choice:
                return choice

    def _options(self) -> Iterator[tuple[str, Any]]:
        yield "temperature", self.temperature
        yield "top_p", self.top_p
        yield "max_tokens", self.max_output_tokens
        yield "parallel_tool_calls", self.parallel_tool_calls
        yield "user", self.user
        yield "logprobs", bool(self.top_logprobs or _LOGPROBS in (self.include or ())) or None
        yield "top_logprobs", self.top_logprobs or None
        yield "reasoning_effort", self.reasoning.effort if self.reasoning else None
        if self.text is not None:
            yield "verbosity", self.text.verbosity
            if self.text.format is not None and self.text.format.type != "text":
                yield "response_format", self.text.format.as_response_format()
