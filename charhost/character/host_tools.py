from collections.abc import Mapping
from typing import Any, Protocol, get_args

from charhost.report import Scope


class Host(Protocol):
    """Runs the server's own tools, which a character may let a model call; only for an admin's conversation."""

    async def run(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Run a tool and return the text for the model; raise `CharhostError` with a text for it.

        A caller that is cancelled does not stop a tool that has begun.
        """


def _tool(name: str, description: str, **properties: Any) -> Mapping[str, Any]:
    parameters = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


# The names that HOST_TOOLS of a character file may have. A user's words decide on the arguments, so nothing here may
# let them choose which code is run.
HOST_TOOLS: Mapping[str, Mapping[str, Any]] = {
    "reload_characters": _tool(
        "reload_characters",
        "Load the character files again, so that changes to them take effect. Open conversations may end by that.",
        directory={
            "type": "string",
            "enum": ["current", "default"],
            "default": "current",
            "description": "The directory that serves now, or the one the server was started with.",
        },
        scope={
            "type": "string",
            "enum": list(get_args(Scope)),
            "default": "all",
            "description": "Load every file again, or only what changed.",
        },
    ),
    "list_characters": _tool("list_characters", "List the characters that can be talked to."),
}
