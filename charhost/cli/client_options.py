"""Settings and options that commands share."""

from contextlib import suppress
from typing import Annotated, Any

import typer
from yarl import URL

from charhost.errors import SettingsError
from charhost.report import SessionPolicy
from charhost.settings import Settings


def configured(**values: Any) -> Settings:
    """Return the settings with those *values* that are not None; end the command with 2 if they are invalid."""
    try:
        return Settings(**{name: value for name, value in values.items() if value is not None})
    except SettingsError as e:
        typer.echo(f"charhost: {e}", err=True)
        raise typer.Exit(2) from e


def address(url: str) -> str:
    """Return the base URL of a server; raise `typer.BadParameter` if *url* is not one."""
    with suppress(ValueError):
        found = URL(url)
        if found.scheme in ("http", "https") and found.host and not (found.user or found.query or found.fragment):
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
Sessions = Annotated[
    SessionPolicy | None, typer.Option(help="Policy for open sessions (default: the server's setting).")
]
Drain = Annotated[
    float | None,
    typer.Option(min=0, max=86_400, help="Seconds that a session may take to finish a response."),
]
Reason = Annotated[str | None, typer.Option(help="A reason to show in the history.")]
