"""Commands, with which a user calls a tool of the stand-in."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.llm.offline.commands import Command, command_in, tool_call

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "throw_dice", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "new_game"}},
]


@pytest.mark.parametrize(
    ("message", "tool"),
    [
        ("/new_game", "new_game"),
        ("  /throw_dice 2", "throw_dice"),
        ("/new", "new"),
        ("/etc/hosts", None),
        ("throw dice", None),
        ("please /throw_dice", None),
        ("", None),
    ],
)
def test_a_command_is_a_slash_and_a_name(message: str, tool: str | None) -> None:
    """Prose is no command, and neither is a path."""
    command = command_in(message)
    assert (command and command.tool) == tool


@pytest.mark.parametrize("arguments", ['{"count": 3}', '{"count": oops', "[1]", '{"count": 3} and more', "two"])
def test_arguments_stay_as_they_are(arguments: str) -> None:
    """The arguments of a command are passed on unchecked."""
    assert command_in(f"/throw_dice {arguments}") == Command("throw_dice", arguments)


@pytest.mark.parametrize("curled", ["{“count”: 2}", "{”count”: 2}", "{„count“: 2}", '{“count": 2}'])
def test_curly_quotes_are_quotes(curled: str) -> None:
    """Input boxes of chat programs curl the quotes of JSON."""
    assert command_in(f"/throw_dice {curled}") == Command("throw_dice", '{"count": 2}')


@pytest.mark.parametrize("arguments", ['{"text": "a “quoted” word"}', "{“count”: oops", "say “hello”"])
def test_curly_quotes_within_a_text_stay(arguments: str) -> None:
    """Curly quotes of valid JSON, and those whose exchange does not make it valid, stay."""
    assert command_in(f"/say {arguments}") == Command("say", arguments)


def test_a_command_without_arguments_has_an_empty_object() -> None:
    """A tool without parameters needs no JSON."""
    assert command_in("/new_game ") == Command("new_game", "{}")


@pytest.mark.parametrize(
    ("message", "choice", "name"),
    [
        ("/throw_dice", None, "throw_dice"),
        ("/throw_dice", "none", None),
        ("/flip", None, None),
        ("throw dice", "auto", None),
        ("hello", "required", "throw_dice"),
        ("/new_game", "required", "new_game"),
        ("/throw_dice", {"type": "function", "function": {"name": "new_game"}}, "new_game"),
        ("hello", {"type": "function", "name": "new_game"}, "new_game"),
        ("hello", {"type": "function", "function": {"name": "no_such"}}, None),
    ],
)
def test_the_tool_choice_of_the_request_counts(message: str, choice: Any, name: str | None) -> None:
    """`none` forbids a call; `required` and a named function demand one."""
    call = tool_call(command_in(message), TOOLS, choice)
    assert (call and call.tool) == name


def test_a_chosen_tool_receives_the_arguments_of_its_own_command_only() -> None:
    """The arguments of a command for another tool are not passed to the chosen tool."""
    choice = {"type": "function", "function": {"name": "throw_dice"}}
    assert tool_call(command_in("/throw_dice [1]"), TOOLS, choice) == Command("throw_dice", "[1]")
    assert tool_call(command_in("/new_game [1]"), TOOLS, choice) == Command("throw_dice", "{}")


def test_a_required_call_is_of_a_tool_that_was_not_called() -> None:
    """Of the tools of a character and its client the one whose call is required may be the second."""
    assert tool_call(None, TOOLS, "required", {"throw_dice"}) == Command("new_game", "{}")
    assert tool_call(command_in("/throw_dice"), TOOLS, "required", {"throw_dice", "new_game"}) is None


def test_without_tools_nothing_is_called() -> None:
    """Without tools no call is made, also if one is required."""
    assert tool_call(command_in("/throw_dice"), [], "required") is None
