"""JSON Schemas of the parameters of tools: the mistakes in one, and those in the arguments of a call.

Patterns are matched in linear time and without the interpreter lock, and a `$ref` never leads out of the schema, so
that arguments which a model chose can delay their own call only.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import re2
from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from pydantic_core import from_json
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

Schema = Mapping[str, Any]

_REFERENCES = ("$ref", "$dynamicRef")
_MOST_MESSAGE = 500


def mistakes(schema: Schema) -> Iterator[str]:
    """Yield the mistakes in a schema, as far as its dialect knows."""
    try:
        _dialect(schema).check_schema(schema, format_checker=_formats())
    except SchemaError as e:
        yield f"has parameters that are no valid JSON Schema: {e.message} (at {e.json_path})"
        return
    for reference in _broken_references(schema):
        yield f"has parameters with a reference to {reference!r}: expected one to a part of the same schema"


def unenforced(schema: Schema) -> Iterator[str]:
    """Yield a sentence for each part of a valid schema by which no arguments are checked."""
    has_patterns = False
    for part in _parts(_resource(schema)):
        has_patterns = has_patterns or "patternProperties" in part
        for pattern in (*filter(None, [part.get("pattern")]), *part.get("patternProperties", ())):
            if isinstance(known := _engine(pattern), str):
                yield f"the pattern {pattern!r} cannot be matched in linear time ({known})"
    if has_patterns and any("unevaluatedProperties" in part for part in _parts(_resource(schema))):
        yield "unevaluatedProperties is not supported beside patternProperties"


def misfit(schema: bytes, arguments: Any) -> str | None:
    """Return the place and the text of the first mistake in *arguments*, by a valid schema in JSON."""
    try:
        problem = next(_validator(schema).iter_errors(arguments), None)
    except RecursionError:
        return "as far as can be checked: the schema or the arguments are nested too deeply"
    return f"at {problem.json_path}: {problem.message[:_MOST_MESSAGE]}" if problem is not None else None


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Validator:
    parameters = from_json(schema)
    dialect = _linear(_dialect(parameters), b'"patternProperties"' in schema)
    validator: Validator = dialect(_without_dialects(parameters), registry=Registry())
    return validator


def _dialect(schema: Schema) -> Any:
    has_name = isinstance(schema.get("$schema"), str)
    return validator_for(schema, default=Draft202012Validator) if has_name else Draft202012Validator


def _without_dialects(value: Any) -> Any:
    """Return a schema without `$schema`, at which a validator would go on as the standard one of that dialect."""
    if isinstance(value, dict):
        fields = value.items()
        return {name: _without_dialects(v) for name, v in fields if name != "$schema" or not isinstance(v, str)}
    return [_without_dialects(item) for item in value] if isinstance(value, list) else value


@cache
def _linear(dialect: Any, has_pattern_properties: bool) -> Any:
    """Return *dialect* with keywords of our own in place of all that match by the module `re`."""
    keywords: dict[str, Callable[..., Any]] = {"pattern": _pattern, "patternProperties": _pattern_properties}
    if has_pattern_properties:
        keywords["additionalProperties"] = _additional_properties(dialect.VALIDATORS["additionalProperties"])
        keywords["unevaluatedProperties"] = _nothing
    return extend(dialect, keywords)  # type: ignore[no-untyped-call]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Schema) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and _matches(pattern, instance) is False:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Schema, instance: Any, schema: Schema) -> Iterator[ValidationError]:
    for pattern, part in patterns.items() if validator.is_type(instance, "object") else ():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(standard: Callable[..., Any]) -> Callable[..., Any]:
    def check(validator: Any, additional: Any, instance: Any, schema: Schema) -> Iterator[ValidationError]:
        if validator.is_type(instance, "object"):
            patterns = schema.get("patternProperties", ())
            others = {k: v for k, v in instance.items() if all(_matches(p, k) is False for p in patterns)}
            rest = {name: value for name, value in schema.items() if name != "patternProperties"}
            yield from standard(validator, additional, others, rest) or ()

    return check


def _nothing(validator: Any, value: Any, instance: Any, schema: Schema) -> Iterator[ValidationError]:
    return iter(())


def _matches(pattern: str, text: str) -> bool | None:
    """Return whether *pattern* is found in *text*; None if the engine does not know it."""
    known = _engine(pattern)
    return None if isinstance(known, str) else known.search(text) is not None


@lru_cache(maxsize=1024)
def _engine(pattern: str) -> Any:
    """Return the compiled pattern, or why it cannot be compiled."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except re2.error as e:
        why = e.args[0]
        return why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)


@cache
def _formats() -> FormatChecker:
    formats = FormatChecker()
    formats.checks("regex", raises=re.error)(_is_pattern)
    return formats


def _is_pattern(value: object) -> bool:
    return not isinstance(value, str) or not isinstance(_engine(value), str) or bool(re.compile(value))


def _resource(schema: Schema) -> Resource[Any]:
    return Resource.from_contents(schema, default_specification=DRAFT202012)


def _parts(resource: Resource[Any]) -> Iterator[Schema]:
    """Yield a schema and the schemas in it."""
    if isinstance(resource.contents, dict):
        yield resource.contents
    for inner in resource.subresources():
        yield from _parts(inner)


def _broken_references(schema: Schema) -> Iterator[str]:
    root = _resource(schema)
    waiting = [(root, Registry().resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        contents = resource.contents if isinstance(resource.contents, dict) else {}
        for reference in filter(None, map(contents.get, _REFERENCES)):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                yield reference
        waiting += [(inner, resolver.in_subresource(inner)) for inner in resource.subresources()]
