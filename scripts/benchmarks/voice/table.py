"""How fast sessions hear, are interrupted and speak, and what they cost, with scripted engines and this machine's.

Scripted engines take no time, so that the figures are those of charhost alone. Times that pass depend on what else the
machine does; those that are computed do so less, and have a bare server of aiohttp beside them, which drops the audio.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from scripts.benchmarks.measure import generate
from scripts.benchmarks.row import Rows
from scripts.benchmarks.voice.embedded import add_engine_rows
from scripts.benchmarks.voice.engines import DETECTED, tone
from scripts.benchmarks.voice.load import (
    add_listening_rows,
    add_open_turn_row,
    add_soak_rows,
    add_speaking_row,
    add_text_row,
)
from scripts.benchmarks.voice.serving import serving
from scripts.benchmarks.voice.turns import add_conversation_row, add_interruption_rows, add_turn_rows

_PARTS = ("scripted", "silero", "embedded", "listening", "speaking", "text", "soak")
_SPEECH_MS = 600
# The end of the audio of a turn is padded to whole frames of the client.
_FRAME = 20 * 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(_PARTS), help=f"of the parts {', '.join(_PARTS)}")
    parser.add_argument(
        "--sessions", type=int, default=100, help="sessions that listen or are spoken to (default: 100)"
    )


async def measure(arguments: argparse.Namespace) -> None:
    rows, parts, runs = Rows(), arguments.only.split(","), arguments.runs
    speech = {"scripted": tone(_SPEECH_MS)}
    if {"silero", "embedded"} & set(parts):
        question = await add_engine_rows(rows, runs)
        speech["silero"] = speech["embedded"] = bytes(-len(question) % _FRAME) + question
    with tempfile.TemporaryDirectory() as scratch:
        directory = generate(Path(scratch), 1)
        for kind in DETECTED:
            if kind in parts:
                async with serving(kind, directory) as server:
                    await add_turn_rows(rows, server, kind, speech[kind], runs)
                    await add_interruption_rows(rows, server, kind, speech[kind], runs)
        if "embedded" in parts:
            async with serving("embedded", directory) as server:
                await add_turn_rows(rows, server, "embedded", speech["embedded"], runs)
                await add_conversation_row(rows, server, speech["embedded"], runs)
        if "listening" in parts:
            await add_listening_rows(rows, directory, arguments.sessions)
            await add_open_turn_row(rows, directory, arguments.sessions // 5)
        if "speaking" in parts:
            await add_speaking_row(rows, directory, arguments.sessions)
        if "text" in parts:
            for _ in range(runs):
                await add_text_row(rows, directory, 100)
        if "soak" in parts:
            await add_soak_rows(rows, directory, 1_000, 500)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    rows.print()
