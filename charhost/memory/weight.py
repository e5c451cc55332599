"""The weight of values: the bytes that they take in memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import chain
from sys import getsizeof
from typing import Any

from pydantic import BaseModel

_PLAIN = frozenset((str, bytes, int, float, bool))
_LISTS = frozenset((list, tuple, set, frozenset))


def weigh(*values: object) -> int:
    """Return the bytes of *values* with everything in them; an object that is in them twice counts twice."""
    weight, rest = 0, list[Any](values)
    while rest:
        value = rest.pop()
        if value is None:
            continue
        weight += getsizeof(value)
        kind: Any = type(value)
        if kind in _LISTS:
            rest.extend(value)
        elif kind not in _PLAIN:
            beside, contents = _opened(kind)(value)
            weight += beside
            rest.extend(contents)
    return weight


@cache
def _opened(kind: Any) -> Callable[[Any], tuple[int, Iterable[Any]]]:
    """Return a function for the objects of a type: the bytes beside one of them, and the objects in it."""
    if issubclass(kind, BaseModel):
        return _opened_model
    if issubclass(kind, Mapping):
        return lambda value: (0, chain(value, value.values()))
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    return lambda value: (0, [getattr(value, name) for name in names])


def _opened_model(model: BaseModel) -> tuple[int, Iterable[Any]]:
    known, more = vars(model), model.model_extra  # the names that are known are those of the class
    return getsizeof(known) + getsizeof(model.model_fields_set), (*known.values(), more) if more else known.values()
