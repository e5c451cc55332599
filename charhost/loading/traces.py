"""The additions of a build to the process: handlers of loggers and metrics, which go with it, and threads."""

import inspect
import logging
import threading
from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any

import prometheus_client

from charhost.loading.public_names import BuildCode, frames_of_builds, starter


def cause() -> tuple[BuildCode, str] | None:
    """Return the build and the file whose code runs on this thread.

    That is the file that is being executed, or else the one that was called first, which is a character's; without
    either that which has started the thread.
    """
    found = next(starter(), None)
    for code, frame in frames_of_builds(inspect.currentframe()):
        if (path := code.path_of(frame.f_code.co_filename)) is not None:
            found = code, path
            if frame.f_code.co_name == "<module>":
                break
    return found


@cache
def install() -> None:
    """Note the additions of character files to the process from now on; only code of builds notices."""
    setattr(threading.Thread, "start", _noted(threading.Thread.start, _start))  # noqa: B010
    registry = prometheus_client.REGISTRY
    setattr(logging.Logger, "addHandler", _noted(logging.Logger.addHandler, _add_handler))  # noqa: B010
    setattr(registry, "register", _noted(registry.register, _register))  # noqa: B010
    setattr(registry, "unregister", _noted(registry.unregister, _unregister))  # noqa: B010


def _noted(method: Callable[..., Any], note: Callable[..., Any]) -> Callable[..., Any]:
    """Return *method*, which calls *note* in its place with the build and the file where code of one runs."""

    @wraps(method)
    def noted(*arguments: Any, **named: Any) -> Any:
        found = cause()
        return method(*arguments, **named) if found is None else note(method, *found, *arguments, **named)

    return noted


def _add_handler(
    add: Callable[..., Any], code: BuildCode, path: str, logger: logging.Logger, hdlr: logging.Handler
) -> None:
    if hdlr not in logger.handlers:
        code.at_end_of(path, partial(logger.removeHandler, hdlr))
    add(logger, hdlr)


def _start(start: Callable[..., Any], code: BuildCode, path: str, thread: threading.Thread) -> None:
    code.note_thread(thread, path)  # before it runs: its code asks whose it is
    start(thread)


def _register(_: Callable[..., Any], code: BuildCode, path: str, collector: Any) -> None:
    code.metrics.register(collector, code, path)
    code.at_end_of(path, partial(code.metrics.unregister, collector))


def _unregister(unregister: Callable[..., Any], code: BuildCode, _: str, collector: Any) -> None:
    if not code.metrics.unregister(collector):
        unregister(collector)
