"""Programs that only start: `python -m scripts.benchmarks.beside.starting command ARGUMENTS` or `… server PORT`."""

import sys


def _command() -> None:
    import typer

    app = typer.Typer(help="A command.")
    app.command()(_request)
    app()


def _request(url: str = "") -> None:
    """Send a request."""


def _server(port: int) -> None:
    import watchfiles  # noqa: F401 - a server like charhost has these three
    from aiohttp import web
    from pydantic import BaseModel

    class Health(BaseModel):
        ok: bool

    async def health(request: web.Request) -> web.Response:
        return web.Response(text=Health(ok=True).model_dump_json())

    app = web.Application()
    app.router.add_get("/v1/health", health)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "server":
        _server(int(rest[0]))
    else:
        sys.argv = ["command", *rest]
        _command()
