"""The settings that a command works with."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer
from yarl import URL

from charhost.errors import SettingsError
from charhost.report import SessionPolicy
from charhost.settings import Settings


def configured(**values: Any) -> Settings:
    """Answer the settings, with those of *values* that were given; ends the command with 2 if they cannot work."""
    try:
        return Settings(**{name: value for name, value in values.items() if value is not None})
    except SettingsError as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


Sessions = Annotated[
    SessionPolicy | None, typer.Option(help="What becomes of open sessions; else the server's setting.")
]


Drain = Annotated[
    float | None,
    typer.Option(min=0, max=86_400, help="How many seconds a session in the middle of an answer may stay."),
]


Reason = Annotated[str | None, typer.Option(help="Why, for whoever reads the history.")]


def address(url: str) -> str:
    """Check the address of a server, for an option."""
    with suppress(ValueError):
        found = URL(url)
        if found.scheme in ("http", "https") and found.host and not (found.user or found.query or found.fragment):
            # Clients of OpenAI's are given the address with its version; what is asked for here begins with that.
            return url.rstrip("/").removesuffix("/v1").rstrip("/")
    # The text is not repeated: it may hold a password.
    raise typer.BadParameter("expected an address such as http://localhost:8000")


Url = Annotated[str, typer.Option(help="The server.", callback=address)]


Timeout = Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.001, max=86_400)]


AsJson = Annotated[bool, typer.Option("--json", help="Print nothing but the server's JSON answer, also to a refusal.")]


IfMatch = Annotated[
    str | None, typer.Option(help="Only if this is the ETag of the set that serves, as `charhost status` shows it.")
]


HERE = "http://localhost:8000"
