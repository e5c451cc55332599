"""Chains of a fleet: a stored response is found at every node."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from pydantic import BaseModel

from charhost import jsontext
from charhost.conversation.dialogue import Heard
from charhost.conversation.items import Item
from charhost.errors import EngineError
from charhost.fleet.documents import Document, Documents
from charhost.ids import is_id
from charhost.logs.fault_log import FaultLog
from charhost.memory.budget import MemoryBudget
from charhost.memory.offload import Offload
from charhost.memory.weight import weigh
from charhost.metrics import Metrics
from charhost.resume.archive import SAVE_DEADLINE
from charhost.resume.spelling import item_of, spelled
from charhost.web.http.problems import unreachable
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

    @classmethod
    def of(cls, link: StoredResponse, is_deleted: bool) -> _Record:
        return cls(
            id=link.id,
            owner=link.owner,
            previous=link.previous.id if link.previous is not None else None,
            input=tuple(map(spelled, link.input)),
            output=tuple(map(spelled, link.output)),
            fields=link.fields,
            is_deleted=is_deleted,
        )


class _Opened(NamedTuple):
    """A record with its items, and the time of the engine when it was stored."""

    record: _Record
    input: tuple[Item, ...]
    output: tuple[Item, ...]
    stored: float

    @classmethod
    def of(cls, document: Document) -> _Opened:
        record = _Record.model_validate_json(document.content)
        return cls(record, tuple(map(item_of, record.input)), tuple(map(item_of, record.output)), document.stored)

    def response(self, previous: StoredResponse | None) -> StoredResponse:
        heard = (previous.heard if previous is not None else Heard()).after(self.input)
        one = self.record
        return StoredResponse(one.id, one.owner, previous, self.input, self.output, one.fields, heard)


class SharedChains(Chains):
    """Writes each response before its client learns of its end, and reads those of other nodes when they are needed.

    An entry of more than *renewal* seconds ago is written again when its chain goes on.
    """

    def __init__(
        self,
        documents: Documents,
        offload: Offload,
        renewal: float,
        metrics: Metrics,
        ttl: float,
        budget: MemoryBudget | None = None,
    ) -> None:
        super().__init__(ttl, budget)
        self._documents = documents
        self._offload = offload
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
            found = await self._opened(await self._documents.get(response_id))
            if found is not None and found.record.is_deleted:
                self.remove(response_id, owner)

    async def _read(self, response_id: str, owner: str) -> None:
        """Read a response that this node does not have, and those before it."""
        missing: list[_Opened] = []
        name: str | None = response_id
        while name is not None and self.find(name, owner) is None:
            found = await self._opened(await self._document(name))
            if found is None or found.record.owner != owner or (found.record.is_deleted and not missing):
                return
            missing.append(found)
            name = found.record.previous
        previous = self.find(name, owner) if name is not None else None
        for found in reversed(missing):
            previous = found.response(previous)
            self._written[previous] = time.monotonic() - max(0.0, time.time() - found.stored)
            if found.record.is_deleted:
                self.count(previous)
            else:
                self.add(previous)

    async def _document(self, name: str) -> Document | None:
        try:
            return await self._documents.get(name)
        except EngineError as e:
            raise unreachable() from e

    async def _opened(self, document: Document | None) -> _Opened | None:
        if document is None:
            return None
        return await self._offload.run(len(document.content), partial(_Opened.of, document))

    async def _write(self, link: StoredResponse) -> None:
        is_deleted, size = self.find(link.id, link.owner) is None, weigh(link.input, link.output)
        content = await self._offload.run(size, lambda: jsontext.encoded(_Record.of(link, is_deleted)))
        await self._documents.put(link.id, content)
        self._written[link] = time.monotonic()
