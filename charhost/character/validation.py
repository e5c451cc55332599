"""The checks that make a character of a module."""

import logging
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError as SchemaMismatch
from pydantic_core import from_json, to_json

from charhost.character.character import Character, LoadedModules, ModelChoice, normal
from charhost.character.host_tools import HOST_TOOLS
from charhost.character.plain_schema import is_plain
from charhost.character.signatures import MISSING, attribute, callable_alone, callable_with, constructable
from charhost.character.static import line_of
from charhost.errors import ValidationError
from charhost.report import DEFAULT_SET
from charhost.text import FieldProblem, field_problems

T = TypeVar("T")

log = logging.getLogger("charhost.reload")

MOST_NAME = 200

_SERVERS_CHOICE = ModelChoice.model_construct()  # most sets have no other, so that the model is never built
_KNOWN_TOOLS = ", ".join(HOST_TOOLS)
_VOICE_FIELDS = {"file": ("path_on_server",), "freesound": ("url", "sound_instance")}


# Returns an attribute of a module, or else the default.
Attributes = Callable[[str, Any], Any]


def character_in(
    attributes: Attributes,
    source: Callable[[], str],
    *,
    file: str,
    location: str,
    fingerprint: str,
    generation: int,
    modules: LoadedModules,
    set_name: str = DEFAULT_SET,
) -> Character:
    """Make the character of a module that defines these *attributes*.

    Raises a `ValidationError` that lists all mistakes; *source* returns the text in which to find the line.
    Runs code of the module (properties, metaclasses), so it belongs under the deadline of the module's import.
    """
    checks = _Checks(attributes)
    checks.on_unload()
    made = Character(
        name=checks.name(),
        file=file,
        location=location,
        voice_source=checks.voice_source(),
        instructions=checks.instructions(),
        metadata=checks.metadata(),
        prompt_generator=checks.prompt_generator(),
        tools=checks.tools(),
        host_tools=checks.host_tools(),
        llm=checks.llm(),
        greetings=checks.greetings(),
        fingerprint=fingerprint,
        generation=generation,
        set=set_name,
        modules=modules,
    )
    if checks.problems:
        line = next(filter(None, (line_of(source(), where) for where, _ in checks.problems)), None)
        raise ValidationError("; ".join(text for _, text in checks.problems), line, made.name or None)
    for part in _unenforced(to_json(made.tools)) if made.tools else ():
        log.warning("%s:%d: TOOLS%s, so it is not enforced", file, line_of(source(), "TOOLS") or 1, part)
    return made


class _Checks:
    """Reads the attributes of one module and notes their mistakes, as (where, sentence)."""

    def __init__(self, attributes: Attributes) -> None:
        self._get = attributes
        self._tool_names: frozenset[str] = frozenset()
        self.problems: list[tuple[str, str]] = []

    def name(self) -> str:
        value = self._get("CHARACTER_NAME", MISSING)
        expected = f"expected a non-empty str of at most {MOST_NAME} characters"
        if not isinstance(value, str):
            self._wrong("CHARACTER_NAME", value, expected)
            return ""
        try:
            name = normal(str.encode(value, "utf-8").decode("utf-8"))
        except UnicodeEncodeError:
            self._note("CHARACTER_NAME", f"holds a lone surrogate: {expected}")
            return ""
        if not 0 < len(name) <= MOST_NAME:
            found = f"has {len(name)} characters" if name else "is empty"
            self._note("CHARACTER_NAME", f"{found}: {expected}")
        return name[:MOST_NAME]

    def instructions(self) -> dict[Any, Any]:
        return self._of_type(dict, "INSTRUCTIONS", "expected a dict")

    def voice_source(self) -> dict[str, Any]:
        voice = self._object("VOICE_SOURCE")
        kind = voice.get("source_type")
        for name in _VOICE_FIELDS.get(kind, ()) if isinstance(kind, str) else ():
            if voice.get(name) is None:
                self._note("VOICE_SOURCE", f'has no {name!r}, which source_type "{kind}" needs')
        return voice

    def metadata(self) -> dict[str, Any]:
        metadata = self._object("METADATA", {})
        for key, kind in (("good", bool), ("comment", str)):
            value = metadata.get(key)
            if value is not None and not isinstance(value, kind):
                self._note("METADATA", f"[{key!r}] is {_found(value)}: expected a {kind.__name__} or None")
        return metadata

    def prompt_generator(self) -> type[Any]:
        value = self._get("PromptGenerator", MISSING)
        if not isinstance(value, type):
            self._wrong("PromptGenerator", value, "expected a class")
            return object
        if not constructable(value):
            expected = "expected __init__(self, instructions)"
            self._note("PromptGenerator.__init__", f"cannot be called with one argument: {expected}")
        self._method(value, "make_system_prompt", 0, "make_system_prompt(self) -> str")
        return value

    def tools(self) -> tuple[dict[str, Any], ...]:
        value = self._of_type(list, "TOOLS", "expected a list of function definitions", [])
        if value == []:
            return ()
        tools = self._json("TOOLS", value, fallback=None) or []
        if not tools:
            return ()
        self._tool_names, problems = _check_tools(to_json(tools))
        for problem in problems:
            self._note("TOOLS", problem)
        generator = self._get("PromptGenerator", MISSING)
        if isinstance(generator, type):
            self._method(generator, "handle_tool_call", 2, "handle_tool_call(self, tool_name, tool_input) -> str")
        return tuple(tools)

    def host_tools(self) -> tuple[str, ...]:
        names = list[str]()
        value = self._of_type(list, "HOST_TOOLS", f"expected a list of distinct names out of {_KNOWN_TOOLS}", [])
        for index, name in enumerate(value):
            if type(name) is not str or name not in HOST_TOOLS:
                self._note("HOST_TOOLS", f"[{index}] is {_found(name)}: expected one of {_KNOWN_TOOLS}")
            elif name in names:
                self._note("HOST_TOOLS", f"[{index}] is {name!r} once more: expected each name once")
            elif name in self._tool_names:
                self._note("HOST_TOOLS", f"[{index}] is {name!r}, which TOOLS has too: expected another name there")
            else:
                names.append(name)
        return tuple(names)

    def llm(self) -> ModelChoice:
        fields = self._object("LLM", {})
        if not fields:
            return _SERVERS_CHOICE
        try:
            return ModelChoice.model_validate(fields)
        except SchemaMismatch as e:
            for problem in field_problems(e):
                self._note("LLM", _choice_problem(problem))
            return ModelChoice()

    def greetings(self) -> tuple[str, ...]:
        value = self._get("GREETING", [])
        if value == []:
            return ()
        greetings = [value] if isinstance(value, str) else value
        if not isinstance(greetings, list) or not all(isinstance(text, str) and text.strip() for text in greetings):
            self._wrong("GREETING", value, "expected a str or a list of str, none of them empty")
            return ()
        return tuple(self._json("GREETING", greetings, fallback=None) or ())

    def on_unload(self) -> None:
        value = self._get("on_unload", None)
        if value is not None and not callable(value):
            self._wrong("on_unload", value, "expected def on_unload()")
        elif value is not None and not callable_alone(value):
            self._note("on_unload", "cannot be called without arguments: expected def on_unload()")

    def _of_type(self, kind: type[T], attribute: str, expected: str, default: Any = MISSING) -> T:
        value = self._get(attribute, default)
        if isinstance(value, kind):
            return value
        self._wrong(attribute, value, expected)
        return kind()

    def _object(self, attribute: str, default: Any = MISSING) -> dict[str, Any]:
        value = self._of_type(dict, attribute, "expected a dict", default)
        # Most files leave out most attributes, and writing and reading JSON is most of the work.
        plain: dict[str, Any] = self._json(attribute, value, fallback=str) or {} if value else {}
        return plain

    def _note(self, where: str, text: str) -> None:
        self.problems.append((where, f"{where}{'' if text.startswith('[') else ' '}{text}"))

    def _wrong(self, attribute: str, value: Any, expected: str) -> None:
        self._note(attribute, f"is {_found(value)}: {expected}")

    def _method(self, owner: type[Any], name: str, arguments: int, expected: str) -> None:
        where = f"PromptGenerator.{name}"
        method = attribute(owner, name)
        if method is MISSING:
            self._note(where, f"is missing: expected {expected}")
        elif not callable_with(owner, method, name, arguments):
            count = "without arguments" if arguments == 0 else f"with {arguments} arguments"
            self._note(where, f"cannot be called {count}: expected {expected}")

    def _json(self, attribute: str, value: Any, fallback: Callable[[Any], str] | None) -> Any:
        try:
            return from_json(to_json(value, fallback=fallback, inf_nan_mode="null"))
        except Exception as e:
            self._note(attribute, f"cannot be written as JSON ({' '.join(str(e).split())})")
            return None


def _found(value: Any) -> str:
    """Describe a value without running code of it."""
    if value is MISSING:
        return "missing"
    if type(value) in (type(None), bool, int, float) or (type(value) is str and len(value) < 40):
        return repr(value)
    return f"of type {type(value).__name__}"


def _choice_problem(problem: FieldProblem) -> str:
    name = problem.steps[0]
    if problem.kind == "extra_forbidden":
        return f"has {name!r}: expected only {', '.join(ModelChoice.model_fields)}"
    # An address may hold a key, which must not be logged.
    found = "an address with an @" if "@" in str(problem.found) else _found(problem.found)
    return f"[{name!r}] is {found}: {problem.text}"


@lru_cache(maxsize=1024)
def _check_tools(tools: bytes) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the names and the mistakes in tool definitions, given as JSON: checking a schema takes milliseconds."""
    names, problems = set(), []
    for index, tool in enumerate(from_json(tools)):
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict):
            problems.append(f'[{index}] is no function definition: expected {{"type": "function", "function": {{…}}}}')
            continue
        problems.extend(f"[{index}] {problem}" for problem in _function_problems(function))
        if isinstance(name := function.get("name"), str):
            if name in names:
                problems.append(f"[{index}] has the name {name!r} of an earlier one")
            names.add(name)
    return frozenset(names), tuple(problems)


def _function_problems(function: dict[str, Any]) -> Iterator[str]:
    name = function.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        yield f"has the name {_found(name)}: expected 1 to 64 letters, digits, _ or -"
    if not isinstance(function.get("description", ""), str):
        yield f"has a description {_found(function['description'])}: expected a str"
    parameters = function.get("parameters", {"type": "object"})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        yield 'has parameters that are no JSON Schema of type "object"'
        return
    if not is_plain(parameters):
        from charhost.character.tool_schema import mistakes  # with the libraries of JSON Schema, which take long

        yield from mistakes(parameters)


@lru_cache(maxsize=1024)
def _unenforced(tools: bytes) -> tuple[str, ...]:
    """Return the parts of valid tool definitions, given as JSON, that cannot be enforced."""
    functions = [tool["function"] for tool in from_json(tools)]
    if all(is_plain(function.get("parameters", {})) for function in functions):
        return ()
    from charhost.character.tool_schema import unenforced

    return tuple(
        f"[{index}]: {part}"
        for index, function in enumerate(functions)
        for part in unenforced(function.get("parameters", {}))
    )
