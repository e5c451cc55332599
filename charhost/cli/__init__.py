"""The `charhost` command, with a file for each of its commands."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from charhost import __version__
from charhost.cli.output import prepare_streams
from charhost.memory.collector import importing

# Each command with its sentence in the list of all, for which it is not imported.
_COMMANDS = {
    "serve": "Serve characters until SIGINT or SIGTERM.",
    "new": "Create a character file from a template.",
    "check": "Load every character file in a child process and make its prompt.",
    "preview": "Show the prompt that a character makes, its size, its tools and its greetings.",
    "reload": "Reload the characters of a running server from a directory.",
    "rollback": "Restore an earlier generation on a running server, even if its files are gone.",
    "resume": "Resume watching after a rollback; the directory is loaded if it differs from the current set.",
    "history": "List the reloads of a running server, the newest first, those that were refused too.",
    "status": "Show the current set of a running server, its last reload and error, its watcher and its sessions.",
    "chat": "Talk to a character of a running server.",
    "voice": "List the voices of characters, say a sentence, time the engines, and fetch voices.",
    "fleet": "Show the nodes of a fleet, and the set that each serves.",
}
# The modules of commands that share one; the others have their own.
_MODULES = {"rollback": "reload", "resume": "reload", "history": "status"}
# Commands that send a request: their help has the exit statuses.
_REMOTE = ("reload", "rollback", "resume", "history", "status")


class _Group(TyperGroup):
    """The commands, of which that in the command line is imported, and the others are only listed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with importing():  # typer imports pydantic to look at an option
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, imported(name) if name in _COMMANDS else found, rest


app = typer.Typer(cls=_Group, help="Host LLM characters written as Python files.", no_args_is_help=True)


@app.callback(invoke_without_command=True)
def charhost(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Host LLM characters written as Python files."""
    if version:
        typer.echo(f"charhost {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command and end the process, past hooks and threads that a character file may have left behind."""
    prepare_streams()
    try:
        app()
    except SystemExit as e:
        with suppress(Exception):
            logging.shutdown()
        for name in ("stdout", "stderr"):
            with suppress(Exception):  # a character file may have closed it, or put something else in its place
                getattr(sys, name).flush()
        os._exit(e.code if isinstance(e.code, int) else 0 if e.code is None else 1)


def imported(name: str) -> Any:
    """Return a command as its module has it, which is imported."""
    single = typer.Typer(add_completion=False)
    with importing():
        module = import_module(f"charhost.cli.{_MODULES.get(name, name)}")
    if isinstance(group := getattr(module, "app", None), typer.Typer):
        return typer.main.get_command(group)
    single.command(epilog=_exits() if name in _REMOTE else None)(getattr(module, name))
    return typer.main.get_command(single)


def _exits() -> str:
    from charhost.cli.client import EXITS

    return EXITS


def _listed(name: str) -> Callable[[], None]:
    def command() -> None:
        raise NotImplementedError

    command.__name__, command.__doc__ = name, _COMMANDS[name]
    return command


for _name in _COMMANDS:
    app.command()(_listed(_name))
