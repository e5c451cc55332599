"""The store that the nodes of a fleet share.

Subjects are those of one fleet, such as `state.desired`; an engine puts the name of the fleet before them.

EngineError
├── Conflict        the condition of a write does not hold
└── Unavailable     it could not be read, or it is unknown whether it was written
    └── NotSetUp    nothing was set up, or all of it was lost
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from charhost.errors import EngineError as EngineError

# Hints that come by themselves: each write of the subject sends the hint.
REPUBLISHED = {"state.desired": "desired"}
# One message of the stock server may have 1 MiB, with its headers.
MOST_BYTES = 1_000_000

Listener = Callable[[bytes], None]


class Unavailable(EngineError):
    """The engine did not respond in time. What was to be written may have been written, or may be later."""


class NotSetUp(Unavailable):
    """The engine responds, and has nothing of this fleet: `charhost fleet setup` was not run, or its store is lost."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a subject. `stored` is the time of the engine, in seconds: compare it with its kind only."""

    sequence: int
    data: bytes = field(repr=False)
    stored: float = 0.0


class Conflict(EngineError):
    """The last message of a subject is `found`, not the expected one."""

    def __init__(self, subject: str, last: int, found: Message | None) -> None:
        sequence = found.sequence if found is not None else 0
        super().__init__(f"{subject}: the last message is {sequence}, not {last}")
        self.found = found


class Observer(Protocol):
    """Counts the failures and refusals of a connection."""

    def failed(self, operation: str) -> None:
        """Count a request that failed."""

    def refused(self, kind: str) -> None:
        """Count a condition that was refused: `mine` was written before, `unchanged` has no reason, `other` has."""


class Engine(Protocol):
    """The connection of one node to the store of all nodes. Every method may raise `Unavailable`, unless it says other.

    `state.*` keeps the last message of each subject, `talk.*` all of them, `bytes.DIGEST` one that never changes.
    """

    observer: Observer | None

    @property
    def is_connected(self) -> bool: ...

    async def start(self) -> None:
        """Connect, and stay connected until `close`; return after the first attempt, and never raise."""

    async def read(self, subject: str) -> Message | None:
        """Return the last message of a subject, from the leader."""

    async def write(self, subject: str, data: bytes, last: int, ttl: int | None = None) -> int:
        """Append a message and return its sequence, if the last one has the sequence *last* (0: there is none).

        It ends after *ttl* seconds. Raise `Conflict` if another one is the last.
        """

    async def walk(self, subject: str, after: int = 0) -> list[Message]:
        """Return the messages of a subject after a sequence, the oldest first, from the leader."""

    async def purge(self, subject: str, before: int | None = None) -> None:
        """Drop the messages of a subject, or those *before* a sequence."""

    async def names(self, prefix: str) -> list[str]:
        """Return the rest after `PREFIX.` of the subjects that have a message, sorted."""

    async def store_blob(self, data: bytes) -> str:
        """Store at most `MOST_BYTES`, unless it is there already, and return its digest, the SHA-256 in hexadecimal."""

    async def load_blobs(self, digests: Collection[str]) -> dict[str, bytes]:
        """Return blobs by their digest, which was checked; those that are missing or damaged are left out."""

    async def hint(self, topic: str, data: bytes = b"") -> None:
        """Wake the listeners of all nodes. It may be lost, which is not noticed, and never raises `Unavailable`."""

    def on_hint(self, topic: str, listener: Listener) -> None:
        """Call *listener* with the data of each hint, and with no data whenever hints may have been lost."""

    async def ask(self, node: str) -> bytes | None:
        """Return what the process that uses the name of a node responds, or None if there is none."""

    async def respond(self, node: str, response: bytes) -> None:
        """Respond to `ask` from now on, as the process that uses this name."""

    async def setup(self, replicas: int | None = None) -> None:
        """Make the missing streams; without *replicas* as it was when it was last seen."""

    async def close(self) -> None:
        """Leave the engine; it never raises."""
