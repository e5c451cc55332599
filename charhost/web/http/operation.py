"""The declarations of handlers, from which the OpenAPI document is made and the access of callers decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

PROBLEM = "application/problem+json"

Tag = Literal["Talk", "Characters", "Operate", "About"]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """A parameter in the path, which is always required, in the query or in a header."""

    name: str
    place: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Response:
    """The response with one status: a model for each content type (`str` for text), and the headers."""

    description: str
    content: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, model: Any, description: str) -> Response:
        return cls(description, {"application/json": model})


@dataclass(frozen=True)
class Operation:
    """The declaration of a handler, which it decorates.

    `needs` is the key of its callers; where `refuses` is set, the handler itself refuses the others. `errors` are the
    statuses of its refusals, each with its meaning; those that every handler has, and those for a key, are added, and
    where an error has no content of its own, the usual one. `fleet_body` is the body at a node of a fleet, if that is
    another one; `file` the content type of a body that is a file.
    """

    summary: str
    tag: Tag
    responses: Mapping[int, Response]
    description: str = ""
    needs: Literal["open", "chat", "admin"] = "open"
    refuses: bool = False
    body: type[BaseModel] | None = None
    fleet_body: type[BaseModel] | None = None
    file: str | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: Mapping[int, str | Response] = field(default_factory=dict)

    def __call__(self, handler: _Handler) -> _Handler:
        vars(handler)["operation"] = self
        return handler


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    return getattr(handler, "operation", None)
