"""The content of messages, as far as the APIs of chat completions and responses agree on it."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from charhost.conversation.items import Part, Role, Text
from charhost.web.http.client_model import ClientModel

RequestRole = Literal["system", "developer", "user", "assistant"]


class RefusalPart(ClientModel):
    """The text of an assistant's refusal."""

    type: Literal["refusal"]
    text: str = Field(validation_alias="refusal")

    @property
    def part(self) -> Part:
        return Text(self.text)


def part_list(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}] if value else []
    if not isinstance(value, list):
        raise PydanticCustomError("content_type", "expected a string or a list of parts")
    return value


def result_text(parts: Iterable[Part]) -> str:
    """Return the text of a tool's result."""
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def item_role(role: RequestRole) -> Role:
    return "system" if role == "developer" else role
