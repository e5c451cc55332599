"""Print how fast charhost is beside a naive server, a bare relay and the floor, in turn, with goals and verdicts."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from scripts.benchmarks.measure import machine
from scripts.benchmarks.row import Rows
from scripts.benchmarks.rows.bench import Bench
from scripts.benchmarks.rows.relay import add_relay_rows, add_relays, relays_of
from scripts.benchmarks.rows.reload import add_reload_rows
from scripts.benchmarks.rows.sessions import add_session_rows
from scripts.benchmarks.rows.start import add_start_rows


class _Size(NamedTuple):
    """How many characters, sessions and conversations at once are measured."""

    characters: tuple[int, int, int] = (10, 1_000, 10_000)
    sessions: tuple[int, ...] = (1_000, 5_000)
    conversations: int = 100


_QUICK = _Size((10, 200, 1_000), (200,), 20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="CHECKOUT",
        help="a FastAPI program with /v1/characters/reload, to compare with",
    )
    add_relays(parser)
    parser.add_argument(
        "--processor",
        action="store_true",
        help="measure in processor time what allows it, where the machine does other work",
    )
    parser.add_argument("--quick", action="store_true", help="one run, with fewer characters and sessions")


async def measure(arguments: argparse.Namespace) -> None:
    size = _QUICK if arguments.quick else _Size()
    relays = relays_of(arguments)
    beside = relays.beside
    kinds = {"charhost": "charhost", "naive": "naive"}
    if beside is not None:
        kinds["beside"] = str(beside)
    if arguments.reference is not None:
        kinds["reference"] = str(arguments.reference.resolve(strict=True))
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(rows := Rows(), Path(scratch), kinds, arguments.processor)
        for _ in range(1 if arguments.quick else arguments.runs):
            await add_reload_rows(bench, *size.characters)
            for sessions in size.sessions:
                await add_session_rows(bench, sessions)
            await add_start_rows(bench)
            await add_relay_rows(rows, (1, size.conversations), relays)
    rows.print()
    if arguments.json:
        rows_found = {"beside": beside and _revision(beside), "rows": [row.as_json for row in rows.values()]}
        arguments.json.write_text(json.dumps({"machine": machine()} | rows_found, indent=1) + "\n")


def _revision(checkout: Path) -> str:
    """Return the abbreviated commit of a checkout."""
    command = ("git", "-C", str(checkout), "rev-parse", "--short", "HEAD")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
