"""The calls that the server ran in a response, for admins that request them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from charhost.conversation.items import FunctionCall, FunctionOutput
from charhost.conversation.turn_events import TurnEnded


class ServerCall(BaseModel, frozen=True):
    """A call of a tool of the character, which the server ran."""

    id: str
    name: str
    arguments: str
    output: str | None


def are_visible(metadata: Mapping[str, Any] | None, is_admin: bool) -> bool:
    return is_admin and metadata is not None and metadata.get("charhost_tools") == "visible"


def server_calls(ended: TurnEnded) -> list[ServerCall]:
    outputs = {item.call_id: item.output for item in ended.made if isinstance(item, FunctionOutput)}
    return [
        ServerCall(id=item.call_id, name=item.name, arguments=item.arguments, output=outputs.get(item.call_id))
        for item in ended.made
        if isinstance(item, FunctionCall) and item.hidden
    ]
