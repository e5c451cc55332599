"""JSON Schemas of tools' parameters: what is wrong with one, and which arguments do not fit."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic_core import to_json

from charhost.character.tool_schema import misfit, mistakes, unenforced

# Two nested repetitions: a backtracking engine tries 2 ** 40 ways to match 40 letters.
ADDRESS = r"^([a-z]+)+@example.com$"
LETTERS = "a" * 40


def of(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties."""
    return {"type": "object", "properties": properties}


def found(schema: dict[str, Any], arguments: Any) -> str | None:
    """Return the path of the first mistake in arguments."""
    mistake = misfit(to_json(schema), arguments)
    return mistake.removeprefix("at ").partition(":")[0] if mistake is not None else None


HIDDEN: dict[str, dict[str, Any]] = {
    "property": of(a={"pattern": ADDRESS}),
    "reference": of(a={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"pattern": ADDRESS}}},
    "elsewhere": of(a={"$ref": "#/parts/a"}) | {"parts": {"a": {"pattern": ADDRESS}}},
    "dialect": of(a={"$schema": "http://json-schema.org/draft-07/schema#", "pattern": ADDRESS}),
    "recursion": {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [of(a={"allOf": [{"$ref": "#"}]})]}
    | {"anyOf": [{"type": "object"}, {"pattern": ADDRESS}]},
}


@pytest.mark.parametrize("place", HIDDEN)
def test_pattern_that_backtracks_for_ever(place: str) -> None:
    """A pattern is matched in linear time wherever in the schema it is."""
    schema = HIDDEN[place]
    started = time.monotonic()
    found(schema, {"a": LETTERS})
    assert found(schema, {"a": "ada@example.com"}) is None or place == "recursion"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("rest", ["patternProperties", "additionalProperties", "unevaluatedProperties"])
def test_names_of_properties_that_backtrack_for_ever(rest: str) -> None:
    """The names of properties, which a model chooses too, are matched by the same engine."""
    schema = {"type": "object", "patternProperties": {ADDRESS: {"type": "string"}}} | {rest: {ADDRESS: {}}}
    started = time.monotonic()
    assert found(schema, {LETTERS: 1}) is None
    assert time.monotonic() - started < 30


def test_pattern_is_enforced() -> None:
    """A value without the pattern is a mistake, and the pattern may be anywhere in the value."""
    assert found(of(a={"pattern": "b.d"}), {"a": "abcde"}) is None
    assert found(of(a={"pattern": "^b.d"}), {"a": "abcde"}) == "$.a"
    assert found(of(a={"pattern": "b"}), {"a": 5}) is None


@pytest.mark.parametrize(
    ("arguments", "path"), [({"x1": 1}, "$.x1"), ({"x1": "a"}, None), ({"y": "a"}, "$"), ({"n": 5}, None)]
)
def test_patterns_of_names_are_enforced(arguments: dict[str, Any], path: str | None) -> None:
    """Properties with a pattern have its schema, and the others are additional ones."""
    schema = {
        "type": "object",
        "properties": {"n": {}},
        "patternProperties": {"^x": {"type": "string"}},
        "additionalProperties": False,
    }
    assert found(schema, arguments) == path


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (of(a={"pattern": "^(?=a)b"}), {"a": "c"}),
        ({"type": "object", "patternProperties": {"(?=a)": {"type": "string"}}}, {"a": 1}),
        (
            {"type": "object", "patternProperties": {"(?=a)": {}}, "additionalProperties": False},
            {"whatever": 1},
        ),
    ],
)
def test_pattern_that_is_not_known(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    """A look-ahead is valid, is not enforced, and is reported."""
    assert found(schema, arguments) is None
    assert list(mistakes(schema)) == []
    (part,) = unenforced(schema)
    assert "cannot be matched in linear time (invalid perl operator: (?=)" in part


def test_pattern_that_only_other_engines_know() -> None:
    """A class of Unicode, which Python's module does not know, is a pattern."""
    schema = of(a={"pattern": r"^\p{Lu}$"})
    assert (list(mistakes(schema)), list(unenforced(schema))) == ([], [])
    assert (found(schema, {"a": "É"}), found(schema, {"a": "é"})) == (None, "$.a")


def test_what_is_no_pattern() -> None:
    """A pattern that no engine knows is a mistake of the schema."""
    (text,) = mistakes(of(a={"pattern": "("}))
    assert text.endswith("'(' is not a 'regex' (at $.properties.a.pattern)")


def test_unevaluated_properties_beside_patterns() -> None:
    """The two together are reported, as the first is not enforced then."""
    schema = {"type": "object", "patternProperties": {"^x": {}}, "unevaluatedProperties": False}
    assert list(unenforced(schema)) == ["unevaluatedProperties is not supported beside patternProperties"]
    assert list(unenforced({"type": "object", "unevaluatedProperties": False})) == []
    assert found({"type": "object", "unevaluatedProperties": False}, {"a": 1}) == "$"


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema", "file:///etc/passwd", "#/$defs/b", "other.json"])
def test_reference_that_leads_out_of_the_schema(reference: str) -> None:
    """A reference to another document, or to nothing, is a mistake; nothing is read for it."""
    schema = of(a={"$ref": reference}) | {"$defs": {"a": {}}}
    (text,) = mistakes(schema)
    assert text == f"has parameters with a reference to {reference!r}: expected one to a part of the same schema"
    with pytest.raises(Exception, match=r"Unresolvable|PointerToNowhere"):
        found(schema, {"a": 1})


@pytest.mark.parametrize(
    ("reference", "definition"),
    [
        ("#/$defs/a", {"type": "string"}),
        ("#anchor", {"$anchor": "anchor", "type": "string"}),
        ("part.json", {"$id": "part.json", "type": "string"}),
    ],
)
def test_reference_inside_the_schema(reference: str, definition: dict[str, Any]) -> None:
    """A path, an anchor and an id of a part are found."""
    schema = of(a={"$ref": reference}) | {"$defs": {"a": definition}}
    assert list(mistakes(schema)) == []
    assert (found(schema, {"a": 1}), found(schema, {"a": ""})) == ("$.a", None)


def test_dialect_that_is_no_name() -> None:
    """A wrong `$schema` is a mistake like another."""
    assert len(list(mistakes({"$schema": 3, "type": "object"}))) == 1


def test_schema_that_goes_round_in_a_circle() -> None:
    """No arguments fit a schema that refers to itself for ever."""
    assert misfit(b'{"$ref": "#"}', {}) == (
        "as far as can be checked: the schema or the arguments are nested too deeply"
    )
