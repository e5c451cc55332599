"""Whether plugin objects can be called, and with how many arguments."""

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

MISSING = object()

# Past whatever a metaclass makes of it.
_mro = vars(type)["__mro__"].__get__


def constructable(owner: type[Any]) -> bool:
    init = attribute(owner, "__init__")
    is_plain = type(owner) is type and attribute(owner, "__new__") is vars(object)["__new__"]
    if is_plain and isinstance(init, FunctionType):
        return _accepts(init, 2)
    return _accepts(owner, 1, unknown=False)


def callable_alone(function: Any) -> bool:
    """Return whether *function* can be called without arguments."""
    return callable(function) and _accepts(function, 0)


def attribute(owner: type[Any], name: str) -> Any:
    """Return an attribute of a class as it was written, without binding it."""
    for base in _mro(owner):
        if name in (found := vars(base)):
            return found[name]
    return MISSING


def callable_with(owner: type[Any], method: Any, name: str, arguments: int) -> bool:
    if isinstance(method, FunctionType):
        return _accepts(method, arguments + 1)
    if not callable(method) and not hasattr(method, "__get__"):
        return False
    # Descriptors receive the instance too, except static and class methods.
    itself = hasattr(type(method), "__get__") and not isinstance(method, (staticmethod, classmethod))
    return _accepts(getattr(owner, name), arguments + itself)


def _accepts(function: Callable[..., Any], arguments: int, *, unknown: bool = True) -> bool:
    """Return whether *function* takes that many positional arguments, or *unknown* if it has no signature."""
    # `inspect.signature` takes 60 µs, and half of the time of a load: usual methods do without it. `__wrapped__` and
    # `__signature__` would be attributes of a function.
    if isinstance(function, FunctionType) and not vars(function):
        code = function.__code__
        if code.co_argcount == arguments and not code.co_kwonlyargcount:
            return True
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    except ValueError:
        return unknown
    return True
