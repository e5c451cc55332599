"""The interface of language models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from charhost.character.character import Character
from charhost.errors import CharhostError
from charhost.settings import Habit

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
# Encoded requests by the model's name and the habits of its server.
Forms = dict[tuple[str, frozenset[Habit]], bytes]
ErrorType = (
    Literal["unreachable", "timeout", "busy", "rate_limited", "unauthorized"]
    | Literal["refused", "server_error", "malformed", "truncated"]
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written; the cached ones are among those read."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a tool call: `id` and `name` come with the first piece of each `index`, and with no other.

    `attached` are fields of the server that it wants back with the call.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str
    attached: Mapping[str, Any] | None = None


# A tuple, since one is made for every word: a frozen dataclass sets each field by a call.
class Delta(NamedTuple):
    """A piece of a response; `logprobs` are those of the tokens of `text`, as the server sends them.

    `attached` are fields of the server that it wants back with the message; `reasoning` is the thinking before it.
    """

    text: str = ""
    calls: tuple[CallDelta, ...] = ()
    finish: FinishReason | None = None
    usage: Usage | None = None
    logprobs: tuple[Mapping[str, Any], ...] = ()
    attached: Mapping[str, Any] | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request to a model: fields of a chat-completions request; `options` are those not named here.

    With `needs_tools` the tools are never left out, even for a server that takes none: a client requests them.
    Requests that are equal may share their encoded `forms`.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    needs_tools: bool = False
    forms: Forms | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ServerHabits:
    """The habits of a server that were learned from its refusals."""

    server: str
    model: str
    habits: tuple[Habit, ...]


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """The server whose model the characters speak with, unless their files name another."""

    server: str
    found: bool
    model: str | None
    models: list[str]


class ModelError(CharhostError):
    """A model's failure, with a text that may be shown to clients: it holds neither the model's URL nor its key."""

    def __init__(self, error_type: ErrorType, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.retry_after = retry_after


class Model(Protocol):
    """A language model, or its stand-in; its attachments to messages are for the same `endpoint` only."""

    @property
    def endpoint(self) -> str: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Yield the response, each time the pieces that have arrived; closing the generator stops the model.

        The last piece has `finish`; usage, if known, comes with it or after it. Raises `ModelError`.
        """

    async def context_length(self) -> int | None:
        """Return the tokens that a request and its response may have together; None if unknown."""


class Models(Protocol):
    def of(self, character: Character) -> Model: ...
