"""The settings that a command works with."""

from __future__ import annotations

from typing import Any

import typer

from charhost.errors import SettingsError
from charhost.settings import Settings


def configured(**values: Any) -> Settings:
    """Answer the settings, with those of *values* that were given; ends the command with 2 if they cannot work."""
    try:
        return Settings(**{name: value for name, value in values.items() if value is not None})
    except SettingsError as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e
