"""What can be called, and with how many arguments."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

MISSING = object()


def constructable(owner: type[Any]) -> bool:
    init = attribute(owner, "__init__")
    if (
        isinstance(init, FunctionType)
        and type(owner) is type
        and attribute(owner, "__new__") is vars(object)["__new__"]
    ):
        return _takes(init, 2)
    try:
        inspect.signature(owner).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def attribute(owner: type[Any], name: str) -> Any:
    """Look an attribute of a class up as it was written, without binding it."""
    return next((vars(base)[name] for base in type.mro(owner) if name in vars(base)), MISSING)


def callable_with(owner: type[Any], method: Any, name: str, arguments: int) -> bool:
    if isinstance(method, FunctionType):
        return _takes(method, arguments + 1)
    if isinstance(method, staticmethod) and isinstance(method.__func__, FunctionType):
        return _takes(method.__func__, arguments)
    if not callable(method) and not hasattr(method, "__get__"):
        return False
    # What binds itself is given the instance too, unless it gave it up already.
    itself = hasattr(type(method), "__get__") and not isinstance(method, (staticmethod, classmethod))
    try:
        inspect.signature(getattr(owner, name)).bind(*[None] * (arguments + itself))
    except TypeError:
        return False
    except ValueError:  # a callable that does not tell its signature
        return True
    return True


def _takes(function: FunctionType, arguments: int) -> bool:
    """Say whether *function* can be called with so many positional arguments.

    `inspect.signature` says the same and takes most of the time that a character's checks may cost.
    """
    if hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        try:
            inspect.signature(function).bind(*[None] * arguments)
        except TypeError:
            return False
        return True
    code = function.__code__
    required = code.co_argcount - len(function.__defaults__ or ())
    most = arguments if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return required <= arguments <= most and not set(keywords) - set(function.__kwdefaults__ or ())
