"""The host tools that list and reload characters."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from charhost.errors import ToolRefused
from charhost.jsontext import encoded
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import Scope
from charhost.text import display

# In seconds: the model has to read the result of its reload and speak about it before the conversation ends.
LEAST_DRAIN = 30.0


class ReloadArguments(BaseModel, extra="forbid", strict=True):
    """The arguments that a model may pass: no path, and nothing else that decides which code is run."""

    directory: Literal["current", "default"] = "current"
    scope: Scope = "all"


class HostTools:
    """Runs the host tools in conversations of an admin; *drain* is the server's setting."""

    def __init__(self, manager: CharacterManager, drain: float) -> None:
        self._manager = manager
        self._drain = max(drain, LEAST_DRAIN)

    async def run(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Run a tool and return its result; raises `CharhostError`."""
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
            given = ReloadArguments.model_validate(dict(arguments))
        except ValidationError as e:
            raise ToolRefused("expected a directory that is current or default, a scope, and nothing else") from e
        directory = "default" if given.directory == "default" else None
        request = ReloadRequest(directory=directory, scope=given.scope, drain_seconds=self._drain)
        report = await self._manager.reload_characters(request, trigger="tool")
        return "\n".join([report.message, *map(str, report.errors)])
