"""Settings of the server; the only package that reads the environment."""

from charhost.settings.environment import (
    is_supervised,
    key_from_environment,
    keyless_environment,
    notify_address,
    proxy_for,
)
from charhost.settings.habit import Habit
from charhost.settings.settings import Settings, is_secret, settings_by_group
from charhost.settings.values import default_directory, is_loopback, project_folder
from charhost.settings.voice import EMBEDDED

__all__ = [
    "EMBEDDED",
    "Habit",
    "Settings",
    "default_directory",
    "is_loopback",
    "is_secret",
    "is_supervised",
    "key_from_environment",
    "keyless_environment",
    "notify_address",
    "project_folder",
    "proxy_for",
    "settings_by_group",
]
