"""charhost serve: an option for each setting that is no key."""

from __future__ import annotations

import inspect
from types import NoneType
from typing import Annotated, Any, get_args

import typer

from charhost.errors import SettingsError
from charhost.settings import Settings, is_secret, settings_by_group


def serve(**options: Any) -> None:
    """Serve characters until SIGINT or SIGTERM."""
    from charhost.cli import logs
    from charhost.web.app import serve as serve_app

    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
        logs.configure(settings)
        serve_app(settings)
    except (SettingsError, OSError) as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


def _options() -> list[inspect.Parameter]:
    """Return an option for each setting that is no key; options not given are left to the environment."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name, group))
        for group, names in settings_by_group().items()
        for name in names
        if not is_secret(name)
    ]


def _annotation(name: str, group: str) -> Any:
    field = Settings.model_fields[name]
    kind = str if field.annotation is None else _plain(field.annotation)
    option = typer.Option(help=field.description, show_default=_shown_default(field.default), rich_help_panel=group)
    return Annotated[kind | None, option]


def _plain(annotation: Any) -> Any:
    """Reduce a setting's type to one that a command line has; pydantic does the checking."""
    kinds = [kind for kind in get_args(annotation) or [annotation] if kind is not NoneType]
    return kinds[0] if kinds[0] in (bool, int, float) else str


def _shown_default(default: Any) -> str | bool:
    return str(default) if isinstance(default, (str, int, float)) else False


serve.__signature__ = inspect.Signature(_options())  # type: ignore[attr-defined]
serve.__annotations__ = {parameter.name: parameter.annotation for parameter in _options()}
