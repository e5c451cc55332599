"""Packing: a stored set as the blobs that each node can fetch.

The *root* has the manifest if that is short, else it lists its parts. The digest of the root names the set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import Base64Bytes, BaseModel, ValidationError

from charhost.fleet.sets.manifest import Listing, PackedSet
from charhost.fleet.sets.pack import PACK_BYTES, DamagedSet, Places, name_of, packs_of
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet

# A manifest with more entries for each character is not worth a difference.
_MOST_ENTRIES = 0.25
# Bytes of a manifest that needs no blob of its own.
_SHORT = 16_000


@dataclass(frozen=True)
class Packed:
    """A set, and those of its blobs that the engine may lack, the last of them the root."""

    packed: PackedSet
    blobs: tuple[bytes, ...] = field(repr=False)

    @property
    def root(self) -> str:
        return self.packed.root


class Root(BaseModel, frozen=True):
    """The digests of the first parts of the manifest, and the last one."""

    parts: list[str]
    rest: Base64Bytes

    @classmethod
    def read(cls, blob: bytes) -> "Root":
        """Return a root; raises `DamagedSet`."""
        try:
            return cls.model_validate_json(blob)
        except ValidationError as e:
            raise DamagedSet("the root of the set is none") from e


class _Draft(NamedTuple):
    listing: Listing
    snapshots: tuple[Snapshot, ...]
    base: PackedSet | None


def pack(stored: StoredSet, last: PackedSet | None = None) -> Packed:
    """Return a set as blobs, without what the engine has of the set *last*."""
    contents = {file.digest: file.data for snapshot in stored.paths for file in snapshot.files.values()}
    known = last.places if last is not None else {}
    packs, new = packs_of({digest: data for digest, data in contents.items() if digest not in known})
    places = {digest: new[digest] if digest in new else known[digest] for digest in contents}
    draft = _drafted(stored, places, last.whole if last is not None else None)
    if draft.base is not None and draft.listing.size > _MOST_ENTRIES * len(stored.members):
        draft = _drafted(stored, places, None)
    *parts, root = _rooted(draft.listing.encoded)
    if draft.base is not None:
        places = {**draft.base.places, **places}
    return Packed(PackedSet(name_of(root), stored, draft.snapshots, places, draft.base), (*packs, *parts, root))


def _drafted(stored: StoredSet, places: Places, base: PackedSet | None) -> _Draft:
    """Return the manifest of a set, whole or as its differences from a base."""
    known = base.snapshots if base is not None else ()
    snapshots = (*known, *(snapshot for snapshot in stored.paths if snapshot not in known))
    return _Draft(Listing.of(stored, snapshots, places, base), snapshots, base)


def _rooted(manifest: bytes) -> Iterator[bytes]:
    """Yield the parts of a manifest, and the root."""
    long = manifest if len(manifest) > _SHORT else b""
    parts = [long[start : start + PACK_BYTES] for start in range(0, len(long), PACK_BYTES)]
    yield from parts
    rest = b"" if long else manifest
    yield Root.model_construct(parts=list(map(name_of, parts)), rest=rest).model_dump_json().encode()
