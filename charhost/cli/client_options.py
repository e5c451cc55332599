"""Settings and options that commands share."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from charhost.errors import SettingsError
from charhost.settings import admin_key

if TYPE_CHECKING:
    from charhost.settings import Settings


def configured(**values: Any) -> Settings:
    """Return the settings with those *values* that are not None; end the command with 2 if they are invalid."""
    from charhost.settings import Settings  # most commands need none

    try:
        return Settings(**{name: value for name, value in values.items() if value is not None})
    except SettingsError as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


def configured_admin_key() -> str | None:
    """Return the admin key of the environment; end the command with 2 if it is unusable."""
    try:
        return admin_key()
    except ValueError as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


def address(url: str) -> str:
    """Return the base URL of a server; raise `typer.BadParameter` if *url* is not one."""
    with suppress(ValueError):
        found = urlsplit(url)
        is_plain = found.port != 0 and not (found.username or found.password or found.query or found.fragment)
        if found.scheme in ("http", "https") and found.hostname and url.isprintable() and is_plain:
            # OpenAI's clients take the address with its version; the paths requested here begin with it.
            return url.rstrip("/").removesuffix("/v1").rstrip("/")
    # The URL is not shown: it may contain a password.
    raise typer.BadParameter("expected an address such as http://localhost:8000")


Url = Annotated[str, typer.Option(help="The server.", callback=address)]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the response.", min=0.001, max=86_400)]
Set = Annotated[str | None, typer.Option("--set", help="The character set (default: that of --directory).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only the server's JSON response, errors included.")]
IfMatch = Annotated[
    str | None, typer.Option(help="Only if this is the ETag of the current set (see `charhost status`).")
]
HERE = "http://localhost:8000"
Drain = Annotated[
    float | None,
    typer.Option(min=0, max=86_400, help="Seconds that a session may take to finish a response."),
]
Reason = Annotated[str | None, typer.Option(help="A reason to show in the history.")]
