"""`scripts/bench` prints the table of all rows; `scripts/bench COMMAND`: each command is a file beside this one."""

import argparse
import asyncio

from charhost.web.process.server_loop import raise_descriptor_limit
from scripts.benchmarks import attack, bounds, kills, relay, reload, scale, soak, storm, studio, table, watch
from scripts.benchmarks.fleet import rollouts
from scripts.benchmarks.fleet import soak as fleet_soak
from scripts.benchmarks.voice import table as voice

COMMANDS = {
    "attack": attack,
    "bounds": bounds,
    "fleet": rollouts,
    "fleet-soak": fleet_soak,
    "kills": kills,
    "relay": relay,
    "reload": reload,
    "scale": scale,
    "soak": soak,
    "storm": storm,
    "studio": studio,
    "voice": voice,
    "watch": watch,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=table.__doc__)
    parser.add_argument("--runs", type=int, default=5, help="number of measurements per cell (default: 5)")
    table.add_arguments(parser)
    commands = parser.add_subparsers(dest="command")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=(module.__doc__ or "").splitlines()[0], description=module.__doc__)
        command.add_argument("--runs", type=int, default=7, help="number of measurements per cell (default: 7)")
        module.add_arguments(command)
    arguments = parser.parse_args()
    raise_descriptor_limit()
    asyncio.run((COMMANDS[arguments.command] if arguments.command else table).measure(arguments))


main()
