"""Whether plugin objects can be called, and with how many arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

MISSING = object()


def constructable(owner: type[Any]) -> bool:
    init = attribute(owner, "__init__")
    is_plain = type(owner) is type and attribute(owner, "__new__") is vars(object)["__new__"]
    if is_plain and isinstance(init, FunctionType):
        return _takes(init, 2)
    return _binds(owner, 1, unknown=False)


def attribute(owner: type[Any], name: str) -> Any:
    """Return an attribute of a class as it was written, without binding it."""
    return next((vars(base)[name] for base in type.mro(owner) if name in vars(base)), MISSING)


def callable_with(owner: type[Any], method: Any, name: str, arguments: int) -> bool:
    if isinstance(method, FunctionType):
        return _takes(method, arguments + 1)
    if isinstance(method, staticmethod) and isinstance(method.__func__, FunctionType):
        return _takes(method.__func__, arguments)
    if not callable(method) and not hasattr(method, "__get__"):
        return False
    # Descriptors receive the instance too, except static and class methods.
    itself = hasattr(type(method), "__get__") and not isinstance(method, (staticmethod, classmethod))
    return _binds(getattr(owner, name), arguments + itself, unknown=True)


def _takes(function: FunctionType, arguments: int) -> bool:
    """Return whether *function* accepts this number of positional arguments.

    `inspect.signature` is equivalent but takes 60 µs instead of 0.9 µs: 94 ms more for 1,000 characters, of 223 ms.
    """
    if hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return _binds(function, arguments, unknown=True)
    code = function.__code__
    required = code.co_argcount - len(function.__defaults__ or ())
    most = arguments if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return required <= arguments <= most and not set(keywords) - set(function.__kwdefaults__ or ())


def _binds(function: Callable[..., Any], arguments: int, *, unknown: bool) -> bool:
    """Return whether *function* accepts the arguments, or *unknown* for one without a signature."""
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    except ValueError:
        return unknown
    return True
