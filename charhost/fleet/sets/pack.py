"""Packs: blobs with contents one after the other."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from charhost.errors import CharhostError

# Below the limit of a message of the stock server, 1 MiB, with room for its headers.
PACK_BYTES = 700_000


class Extent(NamedTuple):
    """A piece of a content: where it lies in which pack."""

    pack: str
    offset: int
    length: int


Places = Mapping[bytes, tuple[Extent, ...]]


class DamagedSet(CharhostError):
    """The blobs of a set are not those that its root names, or exceed the limits of this node."""


def packs_of(contents: Mapping[bytes, bytes]) -> tuple[list[bytes], Places]:
    """Return the packs of contents, which are given by their digests, and the place of each."""
    packs: list[bytes] = []
    places: dict[bytes, tuple[Extent, ...]] = dict.fromkeys(contents, ())
    for data, inside in _packs(contents):
        packs.append(data)
        name = name_of(data)
        for digest, offset, length in inside:
            places[digest] = (*places[digest], Extent(name, offset, length))
    return packs, places


def content_of(digest: bytes, extents: Collection[Extent], packs: Mapping[str, bytes]) -> bytes:
    """Return a content, which is compared with its digest."""
    if missing := {extent.pack for extent in extents} - packs.keys():
        raise DamagedSet(f"the engine lacks {len(missing)} of the blobs of the set")
    data = b"".join(packs[pack][offset : offset + length] for pack, offset, length in extents)
    if hashlib.sha256(data).digest() != digest:
        raise DamagedSet("a file of the set is not the one that its manifest names")
    return data


def names_of(places: Places, digests: Iterable[bytes]) -> set[str]:
    """Return the packs in which some contents lie."""
    return {extent.pack for digest in digests for extent in places[digest]}


def name_of(blob: bytes) -> str:
    """Return the digest by which the engine knows a blob."""
    return hashlib.sha256(blob).hexdigest()


def _packs(contents: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, list[tuple[bytes, int, int]]]]:
    """Yield each pack, and the digest, the offset and the length of all that lies in it; a long content is cut."""
    data, inside = bytearray(), list[tuple[bytes, int, int]]()
    for digest, content in contents.items():
        start = 0
        while start < len(content):
            piece = content[start : start + PACK_BYTES - len(data)]
            inside.append((digest, len(data), len(piece)))
            data += piece
            start += len(piece)
            if len(data) >= PACK_BYTES:
                yield bytes(data), inside
                data, inside = bytearray(), []
    if inside:
        yield bytes(data), inside
