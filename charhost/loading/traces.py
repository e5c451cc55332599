"""The additions of a build to the process, which go with it: handlers of loggers, and metrics."""

import inspect
import logging
from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any

import prometheus_client

from charhost.loading.public_names import BuildCode, frames_of_builds


def cause() -> tuple[BuildCode, str] | None:
    """Return the build and the file whose code runs on this thread.

    That is the file that is being executed, or else the one that was called first, which is a character's.
    """
    found = None
    for code, frame in frames_of_builds(inspect.currentframe()):
        if (path := code.path_of(frame.f_code.co_filename)) is not None:
            found = code, path
            if frame.f_code.co_name == "<module>":
                break
    return found


@cache
def install() -> None:
    """Note the additions of character files to the process from now on; only code of builds notices."""
    registry = prometheus_client.REGISTRY
    setattr(logging.Logger, "addHandler", _noted(logging.Logger.addHandler, _add_handler))  # noqa: B010
    setattr(registry, "register", _noted(registry.register, _register))  # noqa: B010
    setattr(registry, "unregister", _noted(registry.unregister, _unregister))  # noqa: B010


def _noted(method: Callable[..., Any], note: Callable[..., Any]) -> Callable[..., Any]:
    """Return *method*, which calls *note* in its place with the build and the file where code of one runs."""

    @wraps(method)
    def noted(*arguments: Any) -> Any:
        found = cause()
        return method(*arguments) if found is None else note(method, *found, *arguments)

    return noted


def _add_handler(
    add: Callable[..., Any], code: BuildCode, path: str, logger: logging.Logger, handler: logging.Handler
) -> None:
    if handler not in logger.handlers:
        code.at_end_of(path, partial(logger.removeHandler, handler))
    add(logger, handler)


def _register(_: Callable[..., Any], code: BuildCode, path: str, collector: Any) -> None:
    code.metrics.register(collector, code.prefix, code.snapshot, path)
    code.at_end_of(path, partial(code.metrics.unregister, collector))


def _unregister(unregister: Callable[..., Any], code: BuildCode, _: str, collector: Any) -> None:
    if not code.metrics.unregister(collector):
        unregister(collector)
