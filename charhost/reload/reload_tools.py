"""HostTools: what the host's own tools do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from charhost.errors import ToolRefused
from charhost.jsontext import encoded
from charhost.reload.manager import CharacterManager
from charhost.report import Scope
from charhost.text import display

# In seconds: the model is to read what came of its reload, and to say so, before that ends the conversation.
LEAST_DRAIN = 30.0


class ReloadArguments(BaseModel):
    """What a model may choose of a reload: neither a path nor anything else that decides which code is run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    directory: Literal["current", "default"] = "current"
    scope: Scope = "all"


class HostTools:
    """The host of a conversation with an admin; *drain* is the server's setting."""

    def __init__(self, manager: CharacterManager, drain: float) -> None:
        self._manager = manager
        self._drain = max(drain, LEAST_DRAIN)

    async def run(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Carry a tool out, whatever its schema has let through; raises `CharhostError`."""
        if tool == "list_characters":
            return self._list()
        if tool == "reload_characters":
            return await self._reload(arguments)
        raise ToolRefused(f"the host has no tool {tool!r}")

    def _list(self) -> str:
        current = self._manager.current
        directory, listing = display(current.directory), current.listing
        return encoded({"directory": directory, "generation": current.generation, "characters": listing}).decode()

    async def _reload(self, arguments: Mapping[str, Any]) -> str:
        try:
            asked = ReloadArguments.model_validate(dict(arguments))
        except ValidationError as e:
            raise ToolRefused("expected a directory that is current or default, a scope, and nothing else") from e
        directory = "default" if asked.directory == "default" else None
        report = await self._manager.reload_characters(
            trigger="tool", directory=directory, scope=asked.scope, drain_seconds=self._drain
        )
        return "\n".join([report.message, *map(str, report.errors)])
