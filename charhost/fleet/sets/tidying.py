"""Dropping bytes from the engine that no set of the fleet needs any more."""

import logging
from collections.abc import Iterable

from charhost.fleet.node import Node
from charhost.fleet.record import Change, Register, register_subject
from charhost.fleet.sets.manifest import Listing
from charhost.fleet.sets.packing import Root
from charhost.loading.snapshot import Limits
from charhost.report import DEFAULT_SET

log = logging.getLogger("charhost.fleet")

# Seconds, by the clock of the engine: until then a blob may be of a set that is being stored.
_YOUNG = 3600.0


async def tidy(node: Node, limits: Limits, youngest: float = _YOUNG) -> int:
    """Drop the blobs that neither a register nor a kept epoch needs; return how many.

    Raises `Unavailable`, and `DamagedSet` if a needed set cannot be read: then nothing is dropped.
    """
    changes = [*await _kept(node), *await _registered(node)]
    needed = await _blobs(node, {change.root for change in changes}, limits)
    engine, dropped, newest = node.engine, 0, 0.0
    idle = [digest for digest in await engine.names("bytes") if digest not in needed]
    for root in {change.root for change in changes}:
        message = await engine.read(f"bytes.{root}")
        newest = max(newest, message.stored if message is not None else 0.0)
    for digest in idle:
        message = await engine.read(f"bytes.{digest}")
        if message is not None and newest - message.stored > youngest:
            await engine.purge(f"bytes.{digest}")
            dropped += 1
    return dropped


async def _kept(node: Node) -> list[Change]:
    names = await node.records.names("state.epoch")
    found = [(await node.records.read(f"state.epoch.{name}", Change)).record for name in names]
    return [change for change in found if change is not None]


async def _registered(node: Node) -> list[Change]:
    changes: list[Change | None] = []
    for name in [DEFAULT_SET, *await node.records.names("state.desired")]:
        register = (await node.records.read(register_subject(name), Register)).record
        changes += [register.committed, register.proposed] if register is not None else []
    return [change for change in changes if change is not None]


async def _blobs(node: Node, roots: Iterable[str], limits: Limits) -> set[str]:
    """Return the digests of all blobs of some sets, and of their bases."""
    needed, waiting = set[str](), set(roots)
    while waiting:
        root = waiting.pop()
        needed.add(root)
        found = await node.engine.load_blobs([root])
        if root not in found:
            continue  # of an epoch that was never stored again, after the engine had lost it
        read = Root.read(found[root])
        blobs = await node.engine.load_blobs(read.parts)
        listing = Listing.read([*(blobs[part] for part in read.parts if part in blobs), read.rest], limits)
        needed |= {*read.parts, *listing.packs}
        if listing.base is not None and listing.base not in needed:
            waiting.add(listing.base)
    return needed
