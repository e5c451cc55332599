"""Charhost beside a bare relay of the same model: words per second, their processor time, and the first word.

Words per second are measured with a model that streams as fast as it is read, the time to the first word with one
that pauses 5 ms after each word. Clients, relays and model share the machine.
"""

import argparse
from pathlib import Path

from scripts.benchmarks.relaying import INTERFACES, add_relay_rows
from scripts.benchmarks.row import Rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conversations", default="1,100", help="concurrent conversations (default: 1,100)")
    parser.add_argument(
        "--beside", type=Path, metavar="CHECKOUT", help="another checkout of charhost, with its .venv, to compare with"
    )


async def measure(arguments: argparse.Namespace) -> None:
    rows, beside = Rows(), arguments.beside and arguments.beside.resolve(strict=True)
    for _ in range(arguments.runs):
        await add_relay_rows(rows, [int(count) for count in arguments.conversations.split(",")], INTERFACES, beside)
    rows.print()
