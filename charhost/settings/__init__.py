"""Settings of the server; the only package that reads the environment.

A name is imported when it is first used: the commands that only send a request start without pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charhost.settings.environment import (
        admin_key,
        is_supervised,
        key_from_environment,
        keyless_environment,
        may_force_terminal,
        notify_address,
        proxy_for,
    )
    from charhost.settings.habit import Habit
    from charhost.settings.loopback import is_loopback
    from charhost.settings.settings import Settings, is_secret, settings_by_group
    from charhost.settings.values import default_directory, project_folder
    from charhost.settings.voice import EMBEDDED

__all__ = [
    "EMBEDDED",
    "Habit",
    "Settings",
    "admin_key",
    "default_directory",
    "is_loopback",
    "is_secret",
    "is_supervised",
    "key_from_environment",
    "keyless_environment",
    "may_force_terminal",
    "notify_address",
    "project_folder",
    "proxy_for",
    "settings_by_group",
]

_MODULES = {
    "EMBEDDED": "voice",
    "Habit": "habit",
    "Settings": "settings",
    "default_directory": "values",
    "is_loopback": "loopback",
    "is_secret": "settings",
    "project_folder": "values",
    "settings_by_group": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'environment')}"), name)
