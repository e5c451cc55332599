"""The tool call that a message asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from charhost.llm.offline.tool_arguments import ToolCall, find_call


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    """A tool as in a request."""
    return {"type": "function", "function": {"name": name, "parameters": parameters or {"type": "object"}}}


DICE = tool(
    "throw_dice",
    {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 6}}, "required": ["count"]},
)
TOOLS = [DICE, tool("new_game"), tool("searchWeb")]


def made(message: str, schema: Any, **parameters: Any) -> Any:
    """The argument `x` that the stand-in makes of a message."""
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"], **parameters}
    call = find_call(message, [tool("do", parameters)], "required")
    assert call is not None
    return json.loads(call.arguments)["x"]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("throw dice", "throw_dice"),
        ("please throw_dice", "throw_dice"),
        ("Could you throw three Dice?", "throw_dice"),
        ("a new game, please", "new_game"),
        ("new games", "new_game"),
        ("search the web", "searchWeb"),
        ("/new_game", "new_game"),
        ("  /throw_dice 2", "throw_dice"),
        ("dice are fun", None),
        ("/new", None),
        ("", None),
    ],
)
def test_a_tool_is_named_by_its_words(message: str, name: str | None) -> None:
    """All words of its name occur, in any order and number, or a slash stands before it."""
    call = find_call(message, TOOLS, None)
    assert (call and call.name) == name


def test_the_tool_with_most_words_is_meant() -> None:
    """Of two tools that a message names the longer name wins."""
    call = find_call("throw big dice", [DICE, tool("throw_big_dice")], "auto")
    assert call is not None
    assert call.name == "throw_big_dice"


@pytest.mark.parametrize("arguments", ['{"count": 3}', '{"count": oops', "[1]", '{"count": 3} and more'])
def test_arguments_in_json_stay_as_they_are(arguments: str) -> None:
    """What was written as JSON is passed on, right or wrong: to check it is not the model's part."""
    assert find_call(f"/throw_dice {arguments}", TOOLS, None) == ToolCall("throw_dice", arguments)


@pytest.mark.parametrize(
    ("message", "choice", "name"),
    [
        ("throw dice", "none", None),
        ("hello", "auto", None),
        ("hello", "required", "throw_dice"),
        ("new game", "required", "new_game"),
        ("throw dice", {"type": "function", "function": {"name": "new_game"}}, "new_game"),
        ("throw dice", {"type": "function", "name": "new_game"}, "new_game"),
        ("hello", {"type": "function", "function": {"name": "no_such"}}, None),
    ],
)
def test_the_choice_of_the_request_counts(message: str, choice: Any, name: str | None) -> None:
    """`none` forbids a call, `required` and a function ask for one."""
    call = find_call(message, TOOLS, choice)
    assert (call and call.name) == name


def test_without_tools_nothing_is_called() -> None:
    """Not even where a call is required."""
    assert find_call("throw dice", [], "required") is None


@pytest.mark.parametrize(
    ("message", "schema", "value"),
    [
        ("throw 3", {"type": "integer"}, 3),
        ("throw three", {"type": "integer"}, 3),
        ("throw twelve", {"type": "integer", "maximum": 6, "minimum": 2}, 2),
        ("9, no, 4", {"type": "integer", "maximum": 6}, 4),
        ("once", {"type": "integer", "minimum": 1}, 1),
        ("2.5 grams", {"type": "number"}, 2.5),
        ("2.5 grams", {"type": "integer", "exclusiveMinimum": 0}, 1),
        ("to blue", {"type": "string", "enum": ["red", "blue"]}, "blue"),
        ("paint it", {"type": "string", "enum": ["red", "blue"]}, "red"),
        ("please do red pandas.", {"type": "string"}, "red pandas"),
        ('look for "red pandas" now', {"type": "string"}, "red pandas"),
        ("red pandas", {"type": "string", "maxLength": 3}, "red"),
        ("do", {"type": "string"}, "do"),
        ("", {"type": "string"}, "example"),
        ("now", {"type": "string", "format": "date"}, "2000-01-01"),
        ("yes", {"type": "boolean"}, True),
        ("not that", {"type": "boolean"}, False),
        ("1 and 2", {"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 2]),
        ("x", {"const": "fixed"}, "fixed"),
        ("5", {"type": "integer", "default": 7}, 7),
        ("5", {"anyOf": [{"type": "null"}, {"type": "integer"}]}, 5),
        ("5", {"type": ["null", "integer"]}, 5),
        ("5", {"allOf": [{"type": "integer"}, {"minimum": 6}]}, 6),
        ("5", {"type": "null"}, None),
        ("5", {"properties": {"y": {"type": "integer"}, "z": {"type": "string"}}, "required": ["y"]}, {"y": 5}),
    ],
)
def test_arguments_are_made_from_the_schema(message: str, schema: Any, value: Any) -> None:
    """The message gives the numbers, the words and the members of an enum; the schema gives their bounds."""
    assert made(message, schema) == value
    Draft202012Validator(schema).validate(made(message, schema))


def test_references_are_followed_as_far_as_it_makes_sense() -> None:
    """A schema that needs itself ends somewhere."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    assert isinstance(made("go", {"$ref": "#/$defs/node"}, **{"$defs": {"node": node}}), dict)
    assert made("7", {"$ref": "#/$defs/n"}, **{"$defs": {"n": {"type": "integer"}}}) == 7


def test_what_is_optional_is_given_if_the_message_has_it() -> None:
    """A number that nothing required has used, or a member of an enum."""
    schema = {"type": "object", "properties": {"sides": {"type": "integer"}, "hue": {"enum": ["red"]}, "x": {}}}
    call = find_call("do it with 6 sides in red", [tool("do", schema)], None)
    assert call == ToolCall("do", '{"sides":6,"hue":"red"}')


@pytest.mark.parametrize("parameters", [None, True, {}, {"type": "string"}, {"$ref": "#/nowhere"}])
def test_odd_schemas_give_an_object(parameters: Any) -> None:
    """Arguments are always an object."""
    assert find_call("do", [{"function": {"name": "do", "parameters": parameters}}], None) == ToolCall("do", "{}")
