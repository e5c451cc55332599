"""The weight of values: the bytes that they take in memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import chain
from operator import attrgetter
from sys import getsizeof
from typing import Any

from pydantic import BaseModel

_PLAIN = frozenset((str, bytes, int, float, bool))
_LISTS = frozenset((list, tuple, set, frozenset))


def weigh(*values: object) -> int:
    """Return the bytes of *values* with everything in them; an object that is in them twice counts twice."""
    weight, groups = 0, list[Iterable[Any]]((values,))
    while groups:
        for value in groups.pop():
            if value is None:
                continue
            weight += getsizeof(value)
            kind: Any = type(value)
            if kind in _LISTS:
                groups.append(value)
            elif kind not in _PLAIN:
                beside, contents = _opened(kind)(value)
                weight += beside
                groups.append(contents)
    return weight


class Weighed:
    """A dataclass whose objects are weighed once, when they are made: their content never changes."""

    __slots__ = ("weight",)
    weight: int

    def __post_init__(self) -> None:
        kind: Any = type(self)
        object.__setattr__(self, "weight", getsizeof(self) + weigh(*_fields_of(kind)(self)))


@cache
def _opened(kind: Any) -> Callable[[Any], tuple[int, Iterable[Any]]]:
    """Return a function for the objects of a type: the bytes beside one of them, and the objects in it."""
    if issubclass(kind, BaseModel):
        return _opened_model
    if issubclass(kind, Mapping):
        return lambda value: (0, chain(value, value.values()))
    if issubclass(kind, Weighed):
        return lambda value: (value.weight - getsizeof(value), ())
    contents = _fields_of(kind)
    return lambda value: (0, contents(value))


@cache
def _fields_of(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function for the values of the fields of a dataclass; other objects have none."""
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    if not names:
        return lambda value: ()
    values = attrgetter(*names)
    return values if len(names) > 1 else lambda value: (values(value),)


def _opened_model(model: BaseModel) -> tuple[int, Iterable[Any]]:
    known, more = vars(model), model.__pydantic_extra__  # the names that are known are those of the class
    beside = getsizeof(known) + getsizeof(model.__pydantic_fields_set__)
    return beside, (*known.values(), more) if more else known.values()
