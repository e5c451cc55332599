"""The definitions in TOOLS, and their errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.character.helpers import HANDLER, TOOL, character_of, error_of, error_of_line
from tests.conftest import character


def test_tools_are_kept() -> None:
    """Valid definitions are the character's tools."""
    assert character_of(f"{character()}{HANDLER}TOOLS = [{TOOL!r}]").tools == (TOOL,)


@pytest.mark.parametrize("value", ["None", "{}", "()", "'roll'", "5"])
def test_tools_are_no_list(value: str) -> None:
    """TOOLS that are no list are an error."""
    assert error_of_line(f"TOOLS = {value}").endswith(": expected a list of function definitions")


@pytest.mark.parametrize(
    "item", [5, "roll", {}, {"type": "function"}, {"type": "web", "function": {}}, {"name": "roll"}]
)
def test_tool_is_no_function_definition(item: object) -> None:
    """Each tool has the form of the chat completions API."""
    assert str(error_of(f"{character()}{HANDLER}TOOLS = [{item!r}]")).startswith("TOOLS[0] is no function definition: ")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ({}, "has the name None"),
        ({"name": ""}, "has the name ''"),
        ({"name": "roll dice"}, "has the name 'roll dice'"),
        ({"name": "würfeln"}, "has the name 'würfeln'"),
        ({"name": "x" * 65}, "has the name of type str"),
        ({"name": "roll\n"}, "has the name 'roll\\n'"),
        ({"name": "roll", "description": 5}, "has a description 5"),
        ({"name": "roll", "parameters": []}, 'has parameters that are no JSON Schema of type "object"'),
        ({"name": "roll", "parameters": {}}, 'has parameters that are no JSON Schema of type "object"'),
        ({"name": "roll", "parameters": {"type": "string"}}, 'has parameters that are no JSON Schema of type "object"'),
        (
            {"name": "roll", "parameters": {"type": "object", "properties": {"n": {"type": "dice"}}}},
            "has parameters that are no valid JSON Schema: 'dice' is not valid",
        ),
    ],
)
def test_function_definition_is_wrong(function: dict[str, Any], text: str) -> None:
    """An error of a definition has its place in the list."""
    tools = [TOOL, {"type": "function", "function": function}]
    assert str(error_of(f"{character()}{HANDLER}TOOLS = {tools!r}")).startswith(f"TOOLS[1] {text}")


@pytest.mark.parametrize("name", ["r", "roll_dice", "Roll-2", "x" * 64])
def test_name_of_a_tool(name: str) -> None:
    """Any name that the chat completions API accepts is valid, and parameters are optional."""
    assert character_of(
        f"{character()}{HANDLER}TOOLS = [{{'type': 'function', 'function': {{'name': {name!r}}}}}]"
    ).tools


def test_names_of_tools_are_unique() -> None:
    """A second tool of the same name is an error."""
    error = error_of(f"{character()}{HANDLER}TOOLS = [{TOOL!r}, {TOOL!r}]")
    assert str(error) == "TOOLS[1] has the name 'roll' of an earlier one"


def test_tools_that_are_not_json() -> None:
    """Tools that cannot be written as JSON are an error."""
    text = str(error_of(f"{character()}{HANDLER}TOOLS = [{{'type': 'function', 'function': object()}}]"))
    assert text.startswith("TOOLS cannot be written as JSON (")


def test_tools_need_a_handler() -> None:
    """A character with tools needs a `handle_tool_call`."""
    error = error_of(f"{character()}TOOLS = [{TOOL!r}]")
    assert str(error).startswith("PromptGenerator.handle_tool_call is missing: ")


def test_no_tools_need_no_handler() -> None:
    """An empty list of tools needs no handler."""
    assert character_of(f"{character()}TOOLS = []").tools == ()


def test_pattern_that_cannot_be_enforced_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The author learns at every load, by file and line, which pattern no call is checked by."""
    function = {"name": "roll", "parameters": {"type": "object", "properties": {"n": {"pattern": "(?!a)"}}}}
    source = f"{character()}{HANDLER}TOOLS = [{ ({'type': 'function', 'function': function})!r}]"
    for _ in range(2):
        assert character_of(source).tools
    expected = (
        f"ada.py:{source.count(chr(10)) + 1}: TOOLS[0]: the pattern '(?!a)' cannot be matched in linear time "
        "(invalid perl operator: (?!), so it is not enforced"
    )
    assert [record.getMessage() for record in caplog.records] == [expected, expected]
