"""The `charhost` command."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from contextlib import suppress
from types import NoneType
from typing import Annotated, Any, get_args

import typer

from charhost import __version__
from charhost.errors import SettingsError
from charhost.settings import Settings

app = typer.Typer(help="Host LLM characters written as Python files.", no_args_is_help=True, add_completion=False)


@app.callback(invoke_without_command=True)
def charhost(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Host LLM characters written as Python files."""
    if version:
        typer.echo(f"charhost {__version__}")
        raise typer.Exit


def serve(**options: Any) -> None:
    """Serve characters until SIGINT or SIGTERM."""
    from charhost import logs
    from charhost.web.app import serve as serve_app

    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
        logs.configure(settings)
        serve_app(settings)
    except (SettingsError, OSError) as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


def main() -> None:
    """Run the command and end the process, past hooks and threads that a character file may have left behind."""
    try:
        app()
    except SystemExit as e:
        with suppress(Exception):
            logging.shutdown()
        for name in ("stdout", "stderr"):
            with suppress(Exception):  # a character file may have closed it, or put something else in its place
                getattr(sys, name).flush()
        os._exit(e.code if isinstance(e.code, int) else 0 if e.code is None else 1)


def _options() -> list[inspect.Parameter]:
    """Make an option of every setting that is no key; what is not given is left to the environment."""
    parameters = []
    for name, field in Settings.model_fields.items():
        if name.endswith("_key"):
            continue
        kind = str if field.annotation is None else _plain(field.annotation)
        option = typer.Option(help=field.description, show_default=_shown_default(field.default))
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    return parameters


def _plain(annotation: Any) -> Any:
    """Reduce a setting's type to one that a command line has; pydantic does the checking."""
    kinds = [kind for kind in get_args(annotation) or [annotation] if kind is not NoneType]
    return kinds[0] if kinds[0] in (bool, int, float) else str


def _shown_default(default: Any) -> str | bool:
    return str(default) if isinstance(default, (str, int, float)) else False


serve.__signature__ = inspect.Signature(_options())  # type: ignore[attr-defined]
serve.__annotations__ = {parameter.name: parameter.annotation for parameter in _options()}
app.command()(serve)
