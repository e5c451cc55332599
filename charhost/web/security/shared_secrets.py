"""Client secrets of a fleet: each opens its session at any node, and only one session."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pydantic import BaseModel

from charhost import jsontext
from charhost.fleet.documents import Documents
from charhost.memory.budget import MemoryBudget
from charhost.memory.weight import weigh
from charhost.web.security.client_secrets import PREFIX, ClientSecret, ClientSecrets


class _Record(BaseModel, frozen=True):
    owner: str
    character: str
    ends: float  # a Unix time: clients are told the same
    config: jsontext.Json
    sets: frozenset[str] | None
    session_id: str

    def secret(self) -> ClientSecret:
        seconds = max(0, round(self.ends - time.time()))
        config = self.config
        return ClientSecret(self.owner, self.character, seconds, config, weigh(config), self.sets, self.session_id)


class SharedSecrets(ClientSecrets):
    """Reads a secret that this node does not know; the others find it by the digest that is its owner."""

    def __init__(self, documents: Documents, budget: MemoryBudget | None = None) -> None:
        super().__init__(budget)
        self._documents = documents

    async def publish(self, secret: ClientSecret) -> None:
        record = _Record(
            owner=secret.owner,
            character=secret.character,
            ends=time.time() + secret.seconds,
            config=secret.config,
            sets=secret.sets,
            session_id=secret.session_id,
        )
        await self._documents.put(_name(secret.owner), jsontext.encoded(record))

    async def recall(self, owners: Iterable[str]) -> None:
        owners = list(owners)
        if self.find(owners) is not None:
            return
        for owner in owners:
            if (document := await self._documents.get(_name(owner))) is not None:
                secret = _Record.model_validate_json(document.content).secret()
                if secret.seconds > 0:
                    self.add(secret)

    async def claim(self, secret: ClientSecret) -> bool:
        return await self._documents.take(_name(secret.owner))


def _name(owner: str) -> str:
    return f"{PREFIX}{owner}"
