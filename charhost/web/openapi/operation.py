"""Operation: the declaration beside a handler, from which the OpenAPI document is made."""

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
    """A parameter in the path, the query or a header."""

    name: str
    place: Literal["path", "query", "header"]
    description: str
    required: bool = False
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Answer:
    """The response with one status: a model for each content type, and the headers.

    Where `content` is None the status has no body. A type that is `str` stands for text.
    """

    description: str
    content: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """The declaration of a handler.

    `errors` are the statuses of its refusals, each with its meaning; those that every handler has, and those of its
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
    """Attach *operation* to a handler; must be the outermost decorator."""

    def declare(handler: _Handler) -> _Handler:
        vars(handler)[_OPERATION] = operation
        return handler

    return declare


def answers_json(model: Any, description: str) -> Answer:
    """Return the declaration of a JSON response."""
    return Answer(description, {"application/json": model})


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """Return the declaration of a handler, if it has one."""
    found = vars(handler).get(_OPERATION)
    return found if isinstance(found, Operation) else None
