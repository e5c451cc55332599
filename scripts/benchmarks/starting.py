"""Programs that only start: `python -m scripts.benchmarks.starting command` or `… server PORT`."""

import sys


def _command() -> None:
    import typer

    app = typer.Typer(help="A command.")
    app.command()(lambda: None)
    app()


def _server(port: int) -> None:
    import pydantic  # noqa: F401 - what a server like charhost cannot do without
    import watchfiles  # noqa: F401
    from aiohttp import web

    web.run_app(web.Application(), host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "server":
        _server(int(rest[0]))
    else:
        sys.argv = ["command", "--help"]
        _command()
