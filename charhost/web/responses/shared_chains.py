"""Chains of a fleet: a stored response is found at every node."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from contextlib import suppress

from pydantic import BaseModel

from charhost import jsontext
from charhost.conversation.dialogue import Heard
from charhost.errors import EngineError
from charhost.fault_log import FaultLog
from charhost.fleet.documents import Document, Documents
from charhost.ids import is_id
from charhost.memory.budget import MemoryBudget
from charhost.metrics import Metrics
from charhost.resume.archive import SAVE_DEADLINE
from charhost.resume.spelling import item_of, spelled
from charhost.web.problems import unreachable
from charhost.web.responses.chains import Chains, StoredResponse

log = logging.getLogger("charhost.conversation")


class _Record(BaseModel, frozen=True):
    id: str
    owner: str
    previous: str | None
    input: tuple[str, ...]
    output: tuple[str, ...]
    fields: jsontext.Json
    is_deleted: bool

    def response(self, previous: StoredResponse | None) -> StoredResponse:
        received, made = tuple(map(item_of, self.input)), tuple(map(item_of, self.output))
        heard = previous.heard if previous is not None else Heard()
        return StoredResponse(self.id, self.owner, previous, received, made, self.fields, heard.after(received))


class SharedChains(Chains):
    """Writes each response before its client learns of its end, and reads those of other nodes when they are needed.

    An entry of more than *renewal* seconds ago is written again when its chain goes on.
    """

    def __init__(
        self, documents: Documents, renewal: float, metrics: Metrics, ttl: float, budget: MemoryBudget | None = None
    ) -> None:
        super().__init__(ttl, budget)
        self._documents = documents
        self._renewal = renewal
        self._errors = metrics.conversation_errors
        self._faults = FaultLog(log)
        self._written: weakref.WeakKeyDictionary[StoredResponse, float] = weakref.WeakKeyDictionary()
        self._writing: set[asyncio.Task[None]] = set()

    async def keep(self, response: StoredResponse, weight: int | None = None) -> None:
        await super().keep(response, weight)
        writing = asyncio.create_task(self._write_due(response))  # to its end, also if the client leaves meanwhile
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)

    async def close(self) -> None:
        await asyncio.gather(*self._writing)

    async def _write_due(self, response: StoredResponse) -> None:
        latest = time.monotonic() - self._renewal
        due = [link for link in response.chain() if self._written.get(link, latest) <= latest]
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                for link in due:
                    await self._write(link)
        except (EngineError, TimeoutError) as e:
            self._errors.inc()
            self._faults.error("a response could not be saved, and is known at this node only", cause=e)

    async def recall(self, response_id: str, owner: str) -> None:
        if not is_id(response_id, "resp"):
            return
        if self.find(response_id, owner) is not None:
            await self._drop_deleted(response_id, owner)
        else:
            await self._read(response_id, owner)

    async def forget(self, response_id: str, owner: str) -> bool:
        response = self.find(response_id, owner)
        is_gone = await super().forget(response_id, owner)
        if response is not None:
            try:
                await self._write(response)
            except EngineError as e:
                raise unreachable() from e
        return is_gone

    async def _drop_deleted(self, response_id: str, owner: str) -> None:
        """Remove a response that was deleted at another node; without the engine it is taken for one that was not."""
        with suppress(EngineError):
            document = await self._documents.get(response_id)
            if document is not None and _Record.model_validate_json(document.content).is_deleted:
                self.remove(response_id, owner)

    async def _read(self, response_id: str, owner: str) -> None:
        """Read a response that this node does not have, and those before it."""
        missing: list[tuple[_Record, Document]] = []
        name: str | None = response_id
        while name is not None and self.find(name, owner) is None:
            document = await self._document(name)
            record = _Record.model_validate_json(document.content) if document is not None else None
            if document is None or record is None or record.owner != owner or (record.is_deleted and not missing):
                return
            missing.append((record, document))
            name = record.previous
        previous = self.find(name, owner) if name is not None else None
        for record, document in reversed(missing):
            previous = record.response(previous)
            self._written[previous] = time.monotonic() - max(0.0, time.time() - document.stored)
            if record.is_deleted:
                self.count(previous)
            else:
                self.add(previous)

    async def _document(self, name: str) -> Document | None:
        try:
            return await self._documents.get(name)
        except EngineError as e:
            raise unreachable() from e

    async def _write(self, link: StoredResponse) -> None:
        record = _Record(
            id=link.id,
            owner=link.owner,
            previous=link.previous.id if link.previous is not None else None,
            input=tuple(map(spelled, link.input)),
            output=tuple(map(spelled, link.output)),
            fields=link.fields,
            is_deleted=self.find(link.id, link.owner) is None,
        )
        await self._documents.put(link.id, jsontext.encoded(record))
        self._written[link] = time.monotonic()
