"""Contents go into packs, and come back the same."""

from __future__ import annotations

import hashlib

import pytest

from charhost.fleet.sets.pack import PACK_BYTES, DamagedSet, content_of, name_of, packs_of


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_a_long_content_is_cut() -> None:
    """It lies in several packs, and shares the last one with others."""
    contents = {_digest(data): data for data in (b"", b"x" * (PACK_BYTES + 5), b"y")}
    packs, places = packs_of(contents)
    named = {name_of(pack): pack for pack in packs}
    assert [len(pack) for pack in packs] == [PACK_BYTES, 6]
    assert {digest: content_of(digest, places[digest], named) for digest in contents} == contents


def test_another_content_is_refused() -> None:
    """What lies at the place has to have the digest."""
    packs, places = packs_of({_digest(b"x"): b"x"})
    name = name_of(packs[0])
    with pytest.raises(DamagedSet, match="not the one"):
        content_of(_digest(b"x"), places[_digest(b"x")], {name: b"z"})
