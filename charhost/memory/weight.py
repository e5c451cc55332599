"""The weight of values: the bytes that they take in memory."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from sys import getsizeof
from types import NoneType
from typing import Any

from pydantic import BaseModel

_PLAIN = frozenset((str, bytes, int, float, bool, NoneType))
_LISTS = frozenset((list, tuple, set, frozenset))


def weigh(*values: object) -> int:
    """Return the bytes of *values* with everything in them; an object that is in them twice counts twice."""
    weight, rest = 0, list[Any](values)
    while rest:
        value = rest.pop()
        weight += getsizeof(value)
        kind: Any = type(value)
        if kind in _PLAIN:
            continue
        if kind in _LISTS:
            rest.extend(value)
        elif isinstance(value, Mapping):
            rest.extend(value)
            rest.extend(value.values())
        elif isinstance(value, BaseModel):
            rest += (vars(value), value.model_extra, value.model_fields_set)
        else:
            rest.extend(getattr(value, name) for name in _field_names(kind))
    return weight


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
