"""charhost fleet: the nodes of a fleet, and its care."""

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated

import typer

from charhost.cli.client import EXITS, Request, perform, query_of
from charhost.cli.client_options import HERE, AsJson, Set, Timeout, Url, configured
from charhost.cli.output import mark, print_error, print_line, show_table
from charhost.errors import CharhostError
from charhost.jsontext import Json
from charhost.text import one_line

app = typer.Typer(invoke_without_command=True, epilog=EXITS, add_completion=False)

_SERVER = """\

For each server of the engine (nats-server.conf); sync_interval makes what is acknowledged survive a power failure:

  jetstream {{ store_dir: /var/lib/nats, sync_interval: always }}

For the user of the nodes, in an account of this fleet's own:

  permissions: {grants}"""


@app.callback()
def fleet(context: typer.Context, url: Url = HERE, timeout: Timeout = 30, as_json: AsJson = False) -> None:
    """Show the nodes of a fleet, and the set that each serves.

    The exit status is 1 if one of them does not serve the set that all are to serve.
    """
    if context.invoked_subcommand is None:
        perform(Request("/v1/fleet", url, timeout), as_json=as_json, fits=_is_fleet, show=_show)


@app.command()
def setup(
    servers: Annotated[str, typer.Argument(help="The servers of the engine, such as nats://127.0.0.1:4222.")],
    replicas: Annotated[int, typer.Option(min=1, max=5, help="On how many of its servers all is kept.")] = 1,
) -> None:
    """Make the streams and the register of a new fleet, once; needs CHARHOST_FLEET_KEY."""
    from charhost.fleet.engine.streams import Streams
    from charhost.fleet.setup import set_up_fleet

    settings = configured(fleet=servers)
    try:
        is_new = asyncio.run(set_up_fleet(settings, replicas))
    except CharhostError as e:
        print_error(f"The fleet could not be set up: {e}")
        raise typer.Exit(1) from e
    print_line(f"{mark(True)} {'The fleet is set up.' if is_new else 'The fleet was set up before; nothing changed.'}")
    print_line(_SERVER.format(grants=json.dumps(Streams(settings.fleet_name).grants())))


@app.command(epilog=EXITS)
def abort(set_name: Set = None, url: Url = HERE, timeout: Timeout = 30, as_json: AsJson = False) -> None:
    """Abort the rollout that is under way: no node changes."""
    _post("/v1/fleet/abort", url, timeout, as_json, set_name, {})


@app.command(epilog=EXITS)
def hold(
    set_name: Set = None,
    release: Annotated[bool, typer.Option("--release", help="Follow the fleet again.")] = False,
    url: Url = HERE,
    timeout: Timeout = 30,
    as_json: AsJson = False,
) -> None:
    """Have one node follow the fleet no longer."""
    _post("/v1/fleet/hold", url, timeout, as_json, set_name, {"held": not release})


@app.command(epilog=EXITS)
def restore(url: Url = HERE, timeout: Timeout = 30, as_json: AsJson = False) -> None:
    """Write the sets that one node serves into an engine that has lost them."""
    _post("/v1/fleet/restore", url, timeout, as_json, None, {})


def _post(path: str, url: str, timeout: float, as_json: bool, set_name: str | None, body: Json) -> None:
    request = Request(path, url, timeout, body, query_of(set=set_name))
    perform(request, as_json=as_json, fits=_is_fleet, show=_show)


def _is_fleet(document: Json) -> bool:
    return isinstance(document.get("nodes"), list) and isinstance(document.get("sets"), list)


def _show(document: Json) -> None:
    if not document.get("reachable"):
        print_line(f"{mark(False)} The engine cannot be used: {document.get('trouble')}")
    for one in document["sets"]:
        print_line(f"{one['name']}: {_served(one)}")
    rows = list(_rows(document))
    show_table(("node", "set", "state", "epoch", "sessions", "seen", "error"), rows)
    if not document.get("reachable") or any(row[2] != "serving" for row in rows):
        raise typer.Exit(1)


def _rows(document: Json) -> Iterator[list[object]]:
    for node in document["nodes"]:
        for name, served in sorted(node["sets"].items()):
            state = "leaving" if node["leaving"] else served["state"]
            seen = f"{node['seen']:.0f} s ago" if node["seen"] is not None else ""
            yield [node["node"], name, state, served["epoch"], node["sessions"], seen, served["error"]]


def _served(shared: Json) -> str:
    """Return in a sentence which set all nodes are to serve, and since when."""
    register = shared["register"] or {}
    committed, proposed = register.get("committed"), register.get("proposed")
    parts = [f"epoch {committed['epoch']} since {committed['at']}, by {committed['by']}" if committed else "no set yet"]
    if committed and committed["reason"]:
        parts[0] += f" ({committed['reason']})"
    if proposed:
        parts.append(f"epoch {proposed['epoch']} is proposed by {proposed['by']}")
    if shared["held"]:
        parts.append("this node is held")
    return one_line("; ".join(parts))
