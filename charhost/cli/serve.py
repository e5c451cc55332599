"""charhost serve: an option for each setting that is no key."""

import inspect
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import typer
from typer.core import TyperCommand

from charhost.cli.client_options import configured
from charhost.errors import SettingsError
from charhost.memory.collector import importing
from charhost.settings import Settings, is_secret, settings_by_group

app = typer.Typer(add_completion=False)


class _WithGivenOptions(TyperCommand):
    """The command; it processes the options in the command line only, as typer makes a validator for each one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if "help" not in given and not ctx.resilient_parsing:
            self.params = [option for option in self.params if option.name in given]
        return super().parse_args(ctx, args)


@app.command(cls=_WithGivenOptions)
def serve(**options: Any) -> None:
    """Serve characters until SIGINT or SIGTERM."""
    with importing():
        from charhost.cli import logs
        from charhost.web.serve import serve as serve_app

    settings = configured(**options)
    try:
        logs.configure(settings)
        serve_app(settings)
    except (SettingsError, OSError) as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


def _annotation(name: str, group: str) -> Any:
    """Reduce a setting to an option with a type that a command line has; pydantic does the checking."""
    field = Settings.model_fields[name]
    kind = next(kind for kind in get_args(field.annotation) or [field.annotation] if kind is not NoneType)
    shown = str(field.default) if isinstance(field.default, (str, int, float)) else False
    option = typer.Option(help=field.description, show_default=shown, rich_help_panel=group)
    if get_origin(field.annotation) is tuple:
        return Annotated[list[str] | None, option]
    return Annotated[(kind if kind in (bool, int, float) else str) | None, option]


# An option for each setting that is no key; options not given are left to the environment.
_OPTIONS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name, group))
    for group, names in settings_by_group().items()
    for name in names
    if not is_secret(name)
]
serve.__signature__ = inspect.Signature(_OPTIONS)  # type: ignore[attr-defined]
serve.__annotations__ = {option.name: option.annotation for option in _OPTIONS}
