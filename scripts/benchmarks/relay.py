"""Charhost beside a bare relay of the same model: words per second, their processor time, and the first word.

Words per second are measured with a model that streams as fast as it is read, the time to the first word with one
that pauses 5 ms after each word. Clients, relays and model share the machine.
"""

import argparse

from scripts.benchmarks.row import Rows
from scripts.benchmarks.rows.relay import INTERFACES, add_relay_rows, add_relays, relays_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conversations", default="1,100", help="concurrent conversations (default: 1,100)")
    add_relays(parser)


async def measure(arguments: argparse.Namespace) -> None:
    rows, others = Rows(), relays_of(arguments)
    for _ in range(arguments.runs):
        await add_relay_rows(rows, [int(count) for count in arguments.conversations.split(",")], others, INTERFACES)
    rows.print()
