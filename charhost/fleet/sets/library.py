"""The bytes of sets in the engine of a fleet."""

import asyncio
from dataclasses import replace

from charhost.fleet.engine.engine import Engine
from charhost.fleet.sets.kept_sets import KeptSets
from charhost.fleet.sets.pack import DamagedSet, KnownFiles, Manifest, Places, pack, parts_of
from charhost.loading.snapshot import Limits
from charhost.loading.stored_set import StoredSet
from charhost.memory.budget import MemoryBudget
from charhost.metrics import FleetMetrics

_AT_ONCE = 4


class Library:
    """Puts the sets of one name into the engine, and fetches those bytes of one that this node lacks."""

    def __init__(
        self, engine: Engine, limits: Limits, metrics: FleetMetrics, budget: MemoryBudget | None = None
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._limits = limits
        self._places: Places = {}  # of the contents of the last set, which is kept for long
        self._fetched: tuple[str, Places] = "", {}
        self._sets = KeptSets(budget or MemoryBudget())

    async def upload(self, stored: StoredSet, *, serves: bool = True) -> str:
        """Store the bytes of a set that the engine lacks, its root last; return the digest of the root.

        Those of a set that does not serve are dropped after an hour.
        """
        packed = await asyncio.to_thread(pack, stored, self._places)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def store(blob: bytes) -> None:
            async with slots:
                await self._engine.store_blob(blob)

        *blobs, root = packed.blobs
        with self._metrics.rollout.labels("upload").time():
            await asyncio.gather(*map(store, blobs))
            await store(root)
        if serves:
            self._places = packed.places
        self._sets.keep(packed.root, stored)
        return packed.root

    async def fetch(self, root: str, generation: int, current: StoredSet | None = None) -> StoredSet:
        """Return the set of a root; files of *current*, and of the last sets, are not fetched.

        Raises `DamagedSet` and `Unavailable`.
        """
        if (kept := self._sets.find(root)) is not None:
            return replace(kept, generation=generation)
        known = KnownFiles([*self._sets, *([current] if current is not None else [])])
        parts = parts_of((await self._blobs([root]))[root])
        found = await self._blobs(parts)
        manifest = await asyncio.to_thread(Manifest, [found[part] for part in parts], self._limits)
        packs = await self._blobs(sorted(manifest.missing(known)))
        stored = await asyncio.to_thread(manifest.stored, generation, packs, known)
        self._fetched = root, manifest.places
        self._sets.keep(root, stored)
        return stored

    def trust(self, root: str) -> None:
        """Take the contents of the set that was last fetched for stored, if this is its root: it is kept for long."""
        if self._fetched[0] == root:
            self._places = self._fetched[1]

    def forget(self) -> None:
        """Take nothing for stored any more."""
        self._places = {}

    def close(self) -> None:
        """Keep no set any more."""
        self._sets.close()

    async def _blobs(self, digests: list[str]) -> dict[str, bytes]:
        found = await self._engine.load_blobs(digests) if digests else {}
        if missing := [digest for digest in digests if digest not in found]:
            raise DamagedSet(f"the engine lacks {len(missing)} of the blobs of the set, or they are damaged")
        return found
