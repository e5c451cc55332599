"""An engine that does what a job asks it to."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from charhost.speech.embedded.jobs import run


class Toy:
    def work(self, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
        print("A library writes this.")
        match job["do"]:
            case "count":
                yield from ({"number": number} for number in range(job["to"]))
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                signal.pause()
            case "fail":
                raise ValueError("nothing to say")
            case "babble":
                os.write(_pipe(), b"\xff" * 100)
            case "tell":
                yield {
                    "pid": os.getpid(),
                    "nice": os.nice(0),
                    "keys": [name for name in os.environ if name.startswith("CHARHOST_")],
                }


def _pipe() -> int:
    """Return the descriptor of the replies: the pipe that is not one of the standard streams."""
    open_ones = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(10) if os.path.exists(f"/proc/self/fd/{fd}")}
    return next(fd for fd, target in open_ones.items() if fd > 2 and target.startswith("pipe:"))


def _make() -> Toy:
    if "broken" in sys.argv:
        raise ImportError("No module named 'voice'")
    return Toy()


if __name__ == "__main__":
    run(_make)
