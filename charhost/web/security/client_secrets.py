"""Client secrets: keys that a program makes for a browser."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cachetools import TLRUCache

from charhost.ids import new_id
from charhost.jsontext import Json
from charhost.memory.budget import MemoryBudget

PREFIX = "ek_"
MOST_SECONDS = 600
MOST_SECRETS = 10_000
# The settings of all their sessions together, in bytes.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """The right to open one session with a character; the secret itself is only in `owner`, a digest."""

    owner: str
    character: str
    seconds: int
    config: Json
    weight: int
    sets: frozenset[str] | None = None  # those that its maker may use; None: all
    session_id: str = field(default_factory=lambda: new_id("sess"))


class ClientSecrets:
    """Keeps the secrets that have opened no session yet, at most `MOST_SECRETS`; lives as long as the application."""

    def __init__(self, budget: MemoryBudget | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._memory = (budget or MemoryBudget()).holding("client_secrets")
        self._kept: TLRUCache[str, ClientSecret] = TLRUCache(
            _MOST_BYTES,
            ttu=lambda _, secret, now: now + secret.seconds,
            timer=now,
            getsizeof=lambda secret: max(secret.weight, _MOST_BYTES / MOST_SECRETS),
        )

    def add(self, secret: ClientSecret) -> bool:
        """Keep a secret; return whether the budget of memory has room for it."""
        self._memory.resize(int(self._kept.currsize))
        has_room = self._memory.take(secret.weight)
        if has_room:
            self._kept[secret.owner] = secret
        return has_room

    async def publish(self, secret: ClientSecret) -> None:
        """Make a secret known to the other nodes of a fleet; raises `EngineError`."""

    async def recall(self, owners: Iterable[str]) -> None:
        """Make a secret known that another node has made; raises `EngineError`."""

    async def claim(self, secret: ClientSecret) -> bool:
        """Use a secret up at the other nodes; return whether it was still there. Raises `EngineError`."""
        return True

    def find(self, owners: Iterable[str]) -> ClientSecret | None:
        return next((secret for owner in owners if (secret := self._kept.get(owner)) is not None), None)

    def use_up(self, secret: ClientSecret) -> bool:
        """Return whether the secret was still there to open its session."""
        return self._kept.pop(secret.owner, None) is not None
