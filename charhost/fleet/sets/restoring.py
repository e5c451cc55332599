"""Giving the engine of a fleet back what it has lost."""

import logging
from contextlib import suppress

from charhost.fleet.engine.engine import Conflict
from charhost.fleet.record import Register, is_older
from charhost.fleet.sets.shared_set import SharedSet
from charhost.loading.stored_set import StoredSet

log = logging.getLogger("charhost.fleet")


async def restore(shared: SharedSet) -> None:
    """Write the set that serves here into the register, if that has an older one or none. Raises `Unavailable`."""
    found = await shared.read()
    known, change = found.record, shared.change
    if change is None or shared.is_drifted:
        return
    if known is not None and (shared.is_removed or not is_older(known, change)):
        return
    root = await shared.library.upload(StoredSet.of(shared.manager.current))
    # Above all that was proposed, also if that is not known any more.
    last = known.epoch if known is not None else 0
    register = Register(epoch=max(change.epoch, last), committed=change.model_copy(update={"root": root}))
    with suppress(Conflict):  # another node was quicker
        await shared.node.records.write(shared.subject, register, found.sequence)
        log.warning("the engine of the fleet was given back epoch %d of the set %s", change.epoch, shared.name)
    await shared.wake()
