"""The bytes of sets in the engine of a fleet."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from itertools import chain

from charhost.fleet.engine.engine import Engine
from charhost.fleet.sets.kept_sets import KeptSets
from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.manifest import Listing, Manifest, PackedSet
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.packing import Root, pack
from charhost.loading.snapshot import Limits, Snapshot
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
        self._sets = KeptSets(budget or MemoryBudget())

    async def upload(self, stored: StoredSet, last: str | None = None) -> str:
        """Store the bytes of a set that the engine lacks, and return the digest of the root.

        *last* is the root of a set that the engine has, and keeps for long: that of the register. None: it has none.
        """
        found = await asyncio.to_thread(pack, stored, self._sets.find(last) if last is not None else None)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def store(blob: bytes) -> None:
            async with slots:
                await self._engine.store_blob(blob)

        with self._metrics.rollout.labels("upload").time():
            await asyncio.gather(*map(store, found.blobs))
        self._sets.keep(found.packed)
        return found.root

    async def fetch(self, root: str, generation: int, current: Collection[Snapshot] = ()) -> StoredSet:
        """Return the set of a root; files of the *current* snapshots, and of the last sets, are not fetched.

        Raises `DamagedSet` and `Unavailable`.
        """
        found = await self._packed(root, current)
        return replace(found.stored, generation=generation)

    def forget(self) -> None:
        """Rely on nothing in the engine any more."""
        self._sets.clear()

    async def _packed(self, root: str, current: Collection[Snapshot], *, is_base: bool = False) -> PackedSet:
        if (found := self._sets.find(root)) is not None:
            return found
        listing = await self._listing(root)
        if listing.base is None:
            return await self._unpacked(root, listing, None, current)
        if is_base:
            raise DamagedSet("the base of the set is a difference itself")
        base = await self._packed(listing.base, current, is_base=True)
        return await self._unpacked(root, listing, base, current)

    async def _listing(self, root: str) -> Listing:
        read = Root.read((await self._blobs([root]))[root])
        found = await self._blobs(read.parts)
        parts = [*(found[part] for part in read.parts), read.rest]
        return await asyncio.to_thread(Listing.read, parts, self._limits)

    async def _unpacked(
        self, root: str, listing: Listing, base: PackedSet | None, current: Collection[Snapshot]
    ) -> PackedSet:
        kept = (packed.snapshots for packed in (*self._sets, *([base] if base is not None else [])))
        known = await asyncio.to_thread(KnownFiles, {*current, *chain.from_iterable(kept)})
        manifest = await asyncio.to_thread(Manifest, listing, base, self._limits)
        packs = await self._blobs(sorted(manifest.missing(known)))
        found = await asyncio.to_thread(manifest.packed, root, packs, known)
        self._sets.keep(found)
        return found

    def close(self) -> None:
        """Keep no set any more."""
        self._sets.close()

    async def _blobs(self, digests: list[str]) -> dict[str, bytes]:
        found = await self._engine.load_blobs(digests) if digests else {}
        if missing := [digest for digest in digests if digest not in found]:
            raise DamagedSet(f"the engine lacks {len(missing)} of the blobs of the set, or they are damaged")
        return found
