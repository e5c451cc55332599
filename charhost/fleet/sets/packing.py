"""Packing: a stored set as the blobs that each node can fetch.

The *root* lists the parts of the manifest, and its digest names the set.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from charhost.fleet.sets.manifest import Listing, PackedSet
from charhost.fleet.sets.pack import PACK_BYTES, DamagedSet, Places, name_of, packs_of
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet

# A manifest with more entries for each character is not worth a difference.
_MOST_ENTRIES = 0.25


@dataclass(frozen=True)
class Packed:
    """A set, and those of its blobs that the engine may lack, the last of them the root."""

    packed: PackedSet
    blobs: tuple[bytes, ...] = field(repr=False)

    @property
    def root(self) -> str:
        return self.packed.root


class _Root(BaseModel, frozen=True):
    parts: list[str]


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
    manifest = draft.listing.encoded
    parts = [manifest[start : start + PACK_BYTES] for start in range(0, len(manifest), PACK_BYTES)]
    root = _Root(parts=list(map(name_of, parts))).model_dump_json().encode()
    if draft.base is not None:
        places = {**draft.base.places, **places}
    return Packed(PackedSet(name_of(root), stored, draft.snapshots, places, draft.base), (*packs, *parts, root))


def parts_of(root: bytes) -> list[str]:
    """Return the digests of the parts of the manifest; raises `DamagedSet`."""
    try:
        return _Root.model_validate_json(root).parts
    except ValidationError as e:
        raise DamagedSet("the root of the set is no list of parts") from e


def _drafted(stored: StoredSet, places: Places, base: PackedSet | None) -> _Draft:
    """Return the manifest of a set, whole or as its differences from a base."""
    known = base.snapshots if base is not None else ()
    snapshots = (*known, *(snapshot for snapshot in stored.paths if snapshot not in known))
    return _Draft(Listing.of(stored, snapshots, places, base), snapshots, base)
