"""The loop of an engine's process: jobs come through the standard input, replies leave through the standard output."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from charhost.speech.embedded.frames import Message, frame, read

_NICENESS = 5


class Engine(Protocol):
    def work(self, job: Message) -> Iterator[Message]:
        """Yield the replies of a job; one that is given up is left after any of them."""


def run(make: Callable[[], Engine]) -> None:
    """Work off jobs until the server closes the pipe or ends.

    A map with `ready` goes out first, or one with the `error` that keeps the engine from working. Each reply has the
    `id` of its job; the last one has `over`, or the `error` of the job and its `kind`.
    """
    os.nice(_NICENESS)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries that print must not break the frames
    try:
        engine = make()
    except Exception as e:
        _send(output, {"error": _text(e)})
        raise SystemExit(1) from e
    _send(output, {"ready": True})
    _Loop(engine, output).run()


class _Loop:
    def __init__(self, engine: Engine, output: BinaryIO) -> None:
        self._engine = engine
        self._output = output
        self._jobs: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._given_up: set[int] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self) -> None:
        while True:
            job = self._jobs.get()
            number: int = job["id"]
            _send(self._output, self._worked(number, job))
            self._given_up.discard(number)

    def _worked(self, number: int, job: Message) -> Message:
        """Send the replies of a job, and return the last one."""
        try:
            for reply in self._engine.work(job):
                if number in self._given_up:
                    break
                _send(self._output, {"id": number, **reply})
        except Exception as e:
            kind = "busy" if isinstance(e, MemoryError) else "refused"
            return {"id": number, "error": _text(e), "kind": kind}
        return {"id": number, "over": True}

    def _listen(self) -> None:
        while (message := read(sys.stdin.buffer)) is not None:
            if "give_up" in message:
                self._given_up.add(message["give_up"])
            else:
                self._jobs.put(message)
        os._exit(0)  # the engine may be in the middle of a job that nobody waits for


def _send(output: BinaryIO, message: Message) -> None:
    output.write(frame(message))
    output.flush()


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
