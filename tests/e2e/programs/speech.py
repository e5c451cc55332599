"""What a program that speaks sends: speech is a tone, and silence ends it."""

from __future__ import annotations

import json
import math
import sys
from array import array

RATE = 24_000
QUESTION, STOP = 1_000, 500  # ms: the scripted ears know the words by the length
PIECE = 4_800  # bytes: 100 ms


def spoken(milliseconds: int, quiet: int = 3_000) -> list[bytes]:
    """Return pieces of speech, and of silence for longer than clients have the server wait."""
    wave = (int(16_000 * math.sin(math.tau * 440 * i / RATE)) for i in range(RATE * milliseconds // 1_000))
    sound = array("h", wave).tobytes() + bytes(quiet * RATE // 500)
    return [sound[at : at + PIECE] for at in range(0, len(sound), PIECE)]


def report(**found: object) -> None:
    """Print a line for the test."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
