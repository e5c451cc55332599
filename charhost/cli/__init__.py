"""The `charhost` command, with a file for each of its commands."""

import logging
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from charhost import __version__
from charhost.cli.chat import chat
from charhost.cli.check import check
from charhost.cli.client import EXITS
from charhost.cli.new import new
from charhost.cli.output import prepare_streams
from charhost.cli.preview import preview
from charhost.cli.reload import reload, resume, rollback
from charhost.cli.serve import serve
from charhost.cli.status import history, status

app = typer.Typer(help="Host LLM characters written as Python files.", no_args_is_help=True)
for command in (serve, new, check, preview):
    app.command()(command)
for remote in (reload, rollback, resume, history, status):
    app.command(epilog=EXITS)(remote)
app.command()(chat)


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
