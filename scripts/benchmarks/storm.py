"""All clients come back after a reload with `?resume=`: every second one waits as long as it is asked to.

The run fails for a client that is refused, is lost, or finds another session than its own.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.clients import Client, connect, connect_all
from scripts.benchmarks.measure import generate, print_table, spread
from scripts.benchmarks.servers import Server, serving

_PATH = "/v1/realtime?dialect=ga"
_ALL_BACK = 300.0  # seconds


class Broken(Exception):
    """A client has not come back to its session."""


@dataclass
class Storm:
    """The seconds from the close of each session to its return, of clients that wait and of the others.

    `failures` counts the reasons of those that did not return; `probed` has the figures of the probe.
    """

    patient: list[float] = field(default_factory=list)
    impatient: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    probed: dict[str, float] = field(default_factory=dict)

    async def run(self, server: Server, directory: Path, sessions: int) -> None:
        """Open the sessions, reload, and wait until all clients are back or have failed."""
        clients = await connect_all(server.port, [_PATH] * sessions)
        ids = [(await client.received("session.created"))["session"]["id"] for client in clients]
        returning = [
            asyncio.create_task(self._return(server.port, client, session, is_patient=number % 2 == 0))
            for number, (client, session) in enumerate(zip(clients, ids, strict=True))
        ]
        await server.reload(directory)
        async with asyncio.timeout(_ALL_BACK):
            back = await asyncio.gather(*returning)
        self.probed = await server.probed()
        for client in filter(None, back):
            client.vanish()

    async def _return(self, port: int, client: Client, session: str, *, is_patient: bool) -> Client | None:
        closed = await client.closed
        error = client.last("error")
        if client.code != 1012 or error is None:
            self.failures[f"closed with {client.code} after {error}"] += 1
            return None
        if is_patient:
            await asyncio.sleep(error["error"]["retry_after_ms"] / 1000)
        try:
            back = await connect(port, f"/v1/realtime?resume={session}")
            found = (await back.received("session.created"))["session"]["id"]
        except OSError as e:
            self.failures[f"{type(e).__name__}: {e}"] += 1
            return None
        if found != session:
            self.failures["another session"] += 1
        (self.patient if is_patient else self.impatient).append(time.perf_counter() - closed)
        return back


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(runs=1)
    parser.add_argument("--sessions", type=int, default=5_000, help="number of clients (default: 5000)")


async def measure(arguments: argparse.Namespace) -> None:
    rows = []
    for _ in range(arguments.runs):
        storm = Storm()
        with tempfile.TemporaryDirectory() as scratch:
            directory = generate(Path(scratch), 1)
            async with serving("charhost") as server:
                await server.reload(directory)
                await storm.run(server, directory, arguments.sessions)
        gaps = [f"{storm.probed[name]:.1f}" for name in ("work", "gap")]
        rows.append(
            [
                f"{len(storm.patient) + len(storm.impatient)} of {arguments.sessions}",
                *map(spread, (storm.patient, storm.impatient)),
                *gaps,
            ]
        )
        if storm.failures:
            raise Broken(f"not all clients are back: {storm.failures.most_common(5)}")
    header = ["back", "those that waited, s", "the others, s", "largest loop gap, ms of processor time", "by the clock"]
    print_table(header, rows)
