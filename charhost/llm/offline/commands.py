"""Commands: messages such as `/throw_dice {"count": 2}`, with which a user calls a tool."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from charhost.jsontext import decoded

_COMMAND = re.compile(r"\s*/([\w-]{1,64})(?![\w/.-])[ \t]*")


@dataclass(frozen=True)
class Command:
    """A tool's name and its arguments; these are passed on as the user wrote them, valid JSON or not.

    Only curly quotes become straight where that makes them valid: the input boxes of chat programs curl them.
    """

    tool: str
    arguments: str = "{}"


def command_in(message: str) -> Command | None:
    """Return the command that *message* is, whether there is such a tool or not; `/etc/hosts` is none."""
    found = _COMMAND.match(message)
    return Command(found[1], _uncurled(message[found.end() :].strip()) or "{}") if found else None


def tool_names(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    return [tool["function"]["name"] for tool in tools]


def tool_call(
    command: Command | None,
    tools: Iterable[Mapping[str, Any]],
    choice: str | Mapping[str, Any] | None,
    called: Collection[str] = (),
) -> Command | None:
    """Return the call that *command* or *choice* (`tool_choice`) requests, of a tool that was not *called*."""
    names = [] if choice == "none" else [name for name in tool_names(tools) if name not in called]
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        chosen = function.get("name") if isinstance(function, Mapping) else None
        if chosen in names:
            names, choice = [chosen], "required"
    if command is not None and command.tool in names:
        return command
    return Command(names[0]) if names and choice == "required" else None


def _uncurled(arguments: str) -> str:
    straight = re.sub("[“”„‟]", '"', arguments)
    return straight if _is_json(straight) and not _is_json(arguments) else arguments


def _is_json(text: str) -> bool:
    try:
        decoded(text)
    except ValueError:
        return False
    return True
