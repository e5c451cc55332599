"""Arguments: the tool call that a message asks for, its arguments made from a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

_COMMAND = re.compile(r"\s*/([\w-]{1,64})(?![\w/.-])[ \t]*")
_WORD = re.compile(r"[^\W_]+")
_NAME_PART = re.compile(r"[A-Z]?[^\W_A-Z]+|[A-Z]+|\d+")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?|[^\W\d_]+")
_NUMBER_WORDS = {
    word: number
    for language in (
        "one two three four five six seven eight nine ten eleven twelve",
        "un deux trois quatre cinq six sept huit neuf dix onze douze",
        "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
    )
    for number, word in enumerate(language.split(), start=1)
    if word != "once"  # eleven in Spanish, but "throw once" is English
}
_QUOTED = re.compile(r"[\"“«]\s*([^\"”»]{1,500}?)\s*[\"”»]")
_FILLER = re.compile(
    r"^(?:(?:please|can|could|would|will|you|now|for|to|about|of|with|the|a|an|me|and|that|is)\b\W*)+", re.I
)
_NO = re.compile(r"\b(?:no|not|without|false|off|don't|never|non|sans|nicht|nein|ohne|sin)\b", re.I)
_FORMATS = {
    "date": "2000-01-01",
    "time": "12:00:00Z",
    "date-time": "2000-01-01T12:00:00Z",
    "email": "somebody@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_MOST_DEPTH = 8
_MOST_ITEMS = 20


@dataclass(frozen=True)
class ToolCall:
    """A tool's name, and its arguments as JSON; what a user wrote as JSON stays as it is, right or wrong."""

    name: str
    arguments: str


def command(message: str) -> str | None:
    """Find the name in `/name …`, be there such a tool or not; `/etc/hosts` is none."""
    found = _COMMAND.match(message)
    return found[1] if found else None


def names(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the names of the tools."""
    return list(_functions(tools))


def find_call(
    message: str, tools: Sequence[Mapping[str, Any]], choice: str | Mapping[str, Any] | None
) -> ToolCall | None:
    """Decide which tool is called for *message*, if any; *choice* is the `tool_choice` of the request."""
    functions = _functions(tools)
    if choice == "none" or not functions:
        return None
    name = _chosen(choice, functions) or _named(message, functions)
    if name is None and choice == "required":
        name = next(iter(functions))
    return None if name is None else ToolCall(name, _arguments(message, name, functions[name]))


def _functions(tools: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found = [function for tool in tools if isinstance(function := tool.get("function"), Mapping)]
    return {function["name"]: function for function in found if isinstance(function.get("name"), str)}


def _chosen(choice: object, functions: Mapping[str, Any]) -> str | None:
    if not isinstance(choice, Mapping):
        return None
    inner = choice.get("function")
    name = inner.get("name") if isinstance(inner, Mapping) else choice.get("name")
    return name if isinstance(name, str) and name in functions else None


def _named(message: str, functions: Mapping[str, Any]) -> str | None:
    """The tool of a command, else that with most words among those whose words all occur."""
    if (name := command(message)) is not None:
        return name if name in functions else None
    words = set(_WORD.findall(message[-_MOST_TEXT:].lower()))
    words |= {word.removesuffix("s") for word in words} | {f"{word}s" for word in words}
    asked = [name for name in functions if (parts := _parts(name)) and words.issuperset(parts)]
    return max(asked, key=lambda name: len(_parts(name)), default=None)


def _parts(name: str) -> list[str]:
    return [part.lower() for part in _NAME_PART.findall(name)]


_MOST_TEXT = 2000


def _arguments(message: str, name: str, function: Mapping[str, Any]) -> str:
    if command(message) == name:
        message = _COMMAND.sub("", message, count=1).strip()
        if message.startswith(("{", "[")):
            return message
    schema = function.get("parameters")
    made = _Maker(message[-_MOST_TEXT:], set(_parts(name)), schema).make(schema)
    return to_json(made if isinstance(made, dict) else {}).decode()


class _Maker:
    """Makes values that fit a schema out of one message; each number in it is used once, in order."""

    def __init__(self, message: str, spent: set[str], root: Any) -> None:
        self._message = message
        self._spent = spent
        self._root = root
        self._numbers = [number for found in _NUMBER.findall(message) if (number := _number(found)) is not None]

    def make(self, schema: Any, depth: int = 0) -> Any:
        """Make a value for *schema*; what it says cannot be met is left to whoever checks the arguments."""
        schema = self._plain(schema)
        for fixed in ("const", "enum", "default"):
            if fixed in schema:
                return self._member(schema["enum"]) if fixed == "enum" else schema[fixed]
        match _type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number" as kind:
                return self._amount(schema, whole=kind == "integer")
            case "boolean":
                return not _NO.search(self._message)
            case "null":
                return None
        return self._text(schema)

    def _plain(self, schema: Any) -> Mapping[str, Any]:
        """Follow a local reference, and take the first of the choices."""
        for _ in range(_MOST_DEPTH):
            if not isinstance(schema, Mapping):
                return {}
            if isinstance(schema.get("$ref"), str):
                schema = self._resolve(schema["$ref"])
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                schema = next((choice for choice in choices if choice != {"type": "null"}), {})
            elif parts := schema.get("allOf"):
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                schema = {key: value for part in (rest, *map(self._plain, parts)) for key, value in part.items()}
            else:
                return schema
        return {}

    def _resolve(self, reference: str) -> Any:
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found

    def _member(self, members: Any) -> Any:
        """The one that the message names, else the first."""
        words = set(_WORD.findall(self._message.lower()))
        named = (
            value for value in members if words.issuperset(_WORD.findall(str(value).lower())) and str(value).strip()
        )
        return next(named, members[0] if members else None)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if depth >= _MOST_DEPTH:
            return {}
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        wanted = [name for name in properties if name in required or self._speaks_of(properties[name])]
        # A name once, since making a value uses up a number; what is required need not be among the properties.
        return {name: self.make(properties.get(name), depth + 1) for name in dict.fromkeys([*wanted, *required])}

    def _speaks_of(self, schema: Any) -> bool:
        """Whether the message has a value for a property that need not be there."""
        schema = self._plain(schema)
        if "enum" in schema:
            words = set(_WORD.findall(self._message.lower()))
            return any(str(value).lower() in words for value in schema["enum"])
        return bool(self._numbers) and _type(schema) in ("integer", "number")

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        if depth >= _MOST_DEPTH:
            return []
        length = min(max(1, int(schema.get("minItems", 1))), int(schema.get("maxItems", _MOST_ITEMS)), _MOST_ITEMS)
        return [self.make(schema.get("items"), depth + 1) for _ in range(length)]

    def _amount(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        low, high = _bounds(schema, whole=whole)
        fitting = (number for number in self._numbers if low <= number <= high and (not whole or number == int(number)))
        number = next(fitting, None)
        if number is None:
            number = low if low > float("-inf") else min(1, high)
        else:
            self._numbers.remove(number)
        return int(number) if whole or number == int(number) else number

    def _text(self, schema: Mapping[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        quoted = _QUOTED.search(self._message)
        text = quoted[1] if quoted else self._rest()
        return (text or "example")[: schema.get("maxLength", 500)]

    def _rest(self) -> str:
        """The message without the words that named the tool, and without what is only polite."""
        kept = [word for word in self._message.split() if not _spent(word, self._spent)]
        return _FILLER.sub("", " ".join(kept)).strip(" .!?,:;") or self._message.strip()


def _spent(word: str, spent: set[str]) -> bool:
    parts = [part.lower() for part in _WORD.findall(word)]
    return bool(parts) and all({part, part.removesuffix("s"), f"{part}s"} & spent for part in parts)


def _number(word: str) -> float | None:
    if word[-1].isdigit():
        return float(word) if "." in word else int(word)
    return _NUMBER_WORDS.get(word.lower())


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _bounds(schema: Mapping[str, Any], *, whole: bool) -> tuple[float, float]:
    # Between whole numbers the next one is inside; of others, one a little further on.
    step = 1 if whole else 0.001
    lows = [schema.get("minimum"), _moved(schema.get("exclusiveMinimum"), step)]
    highs = [schema.get("maximum"), _moved(schema.get("exclusiveMaximum"), -step)]
    low = max((n for n in lows if _is_number(n)), default=float("-inf"))
    return low, min((n for n in highs if _is_number(n)), default=float("inf"))


def _moved(bound: Any, step: float) -> Any:
    return bound + step if _is_number(bound) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
