"""Operation: what a handler declares of itself, beside its code; the OpenAPI document is made of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

PROBLEM = "application/problem+json"

_OPERATION = "charhost_operation"
Tag = Literal["Talk", "Characters", "Operate", "About"]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """Something that is asked for in the path, the query or a header."""

    name: str
    place: Literal["path", "query", "header"]
    description: str
    required: bool = False
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Answer:
    """What one status means: the type of its content, by content type, and the headers that come along.

    Where `content` is None the status has no body. A type that is `str` stands for text.
    """

    description: str
    content: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """What a handler declares of itself.

    `errors` are the statuses of its refusals, each with what it means; those that every handler has, and those of its
    guard (`needs`), are added, and where an error has no content of its own, the usual one.
    """

    summary: str
    tag: Tag
    answers: Mapping[int, Answer]
    description: str = ""
    needs: Literal["anybody", "chat", "admin"] = "anybody"
    body: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: Mapping[int, str | Answer] = field(default_factory=dict)


def described(operation: Operation) -> Callable[[_Handler], _Handler]:
    """Declare what a handler does; the outermost of its decorators."""

    def declare(handler: _Handler) -> _Handler:
        vars(handler)[_OPERATION] = operation
        return handler

    return declare


def answers_json(model: Any, description: str) -> Answer:
    """Declare an answer that is JSON."""
    return Answer(description, {"application/json": model})


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """Find what a handler declares of itself."""
    found = vars(handler).get(_OPERATION)
    return found if isinstance(found, Operation) else None
