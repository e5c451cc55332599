"""Signed records in the engine of a fleet."""

import logging
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from charhost.fleet.engine.engine import Conflict, Engine, Unavailable
from charhost.fleet.signature import Signature
from charhost.logs.fault_log import FaultLog
from charhost.metrics import FleetMetrics
from charhost.text import field_problems

log = logging.getLogger("charhost.fleet")

Record = TypeVar("Record", bound=BaseModel)

_MOST_ATTEMPTS = 5


@dataclass(frozen=True)
class Found(Generic[Record]):
    """The last message of a subject: its sequence, whether the fleet signed it, and its record if it can be read.

    `stored` is the time of the engine, in seconds.
    """

    record: Record | None = None
    sequence: int = 0
    is_signed: bool = False
    stored: float = 0.0


class Records:
    """Reads and writes records; those that the fleet did not sign count as if they were not there."""

    def __init__(self, engine: Engine, signature: Signature, metrics: FleetMetrics) -> None:
        self._engine = engine
        self._signature = signature
        self._metrics = metrics
        self._faults = FaultLog(log)
        self._own: dict[str, int] = {}

    async def read(self, subject: str, kind: type[Record]) -> Found[Record]:
        message = await self._engine.read(subject)
        if message is None:
            return Found()
        body = self._signature.verify(subject, message.data)
        if body is None:
            self._metrics.bad_signatures.inc()
            self._faults.error("a record was not signed with the key of this fleet, and is ignored: %s", subject)
            return Found(None, message.sequence)
        try:
            return Found(kind.model_validate_json(body), message.sequence, is_signed=True, stored=message.stored)
        except ValidationError as e:
            problem = next(field_problems(e))
            self._faults.error("a record cannot be read by this version: %s: %s", subject, problem.path)
            return Found(None, message.sequence, is_signed=True)

    async def write(self, subject: str, record: BaseModel, last: int, ttl: int | None = None) -> int:
        """Write a record if the last message still has the sequence *last*; raises `Conflict`."""
        data = self._signature.sign(subject, record.model_dump_json().encode())
        return await self._engine.write(subject, data, last, ttl)

    async def put(self, subject: str, record: BaseModel, ttl: int | None = None) -> None:
        """Write a record that only this node writes, over any other."""
        for _ in range(_MOST_ATTEMPTS):
            try:
                self._own[subject] = await self.write(subject, record, self._own.get(subject, 0), ttl)
                return
            except Conflict as e:
                self._own[subject] = e.found.sequence if e.found is not None else 0
        raise Unavailable(f"{subject} is written by another process")

    async def drop(self, subject: str) -> None:
        await self._engine.purge(subject)

    async def names(self, prefix: str) -> list[str]:
        return await self._engine.names(prefix)
