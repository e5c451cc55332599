"""Where sets and sessions are saved: in memory, in the state file, or sessions in the engine of a fleet."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from charhost.reload.set_records import MemoryRecords, SetRecords
from charhost.report import DEFAULT_SET
from charhost.resume.archive import ArchiveWriter, SessionWriter
from charhost.web.keys import BUDGET, CHAINS, DISCONNECTED, METRICS, SESSION_WRITER, SETTINGS
from charhost.web.responses.chains import Chains

if TYPE_CHECKING:
    from charhost.fleet.engine.engine import Engine
    from charhost.storage.state_file import StateFile

log = logging.getLogger("charhost.web")


def records_of(app: web.Application, fleet: Engine | None) -> SetRecords:
    """Return the records of sets, and have sessions and responses saved.

    *fleet* is used in place of the engine of the settings.
    """
    records = _records(app)
    if app[SETTINGS].fleet_servers:
        from charhost.web.fleet.shared_sessions import share_sessions  # only a fleet has use for it

        share_sessions(app, fleet)
    else:
        app[CHAINS] = Chains(app[SETTINGS].resume_ttl, app[BUDGET])
    return records


def _records(app: web.Application) -> SetRecords:
    app[SESSION_WRITER] = SessionWriter()
    if not (path := app[SETTINGS].state):
        return MemoryRecords()
    from charhost.storage.state_file import StateFile  # with SQLite

    state = StateFile(path)
    app[SESSION_WRITER] = ArchiveWriter(state.conversations, app[METRICS])
    app.cleanup_ctx.append(partial(_state, state))
    return state.sets


async def _state(state: StateFile, app: web.Application) -> AsyncIterator[None]:
    await state.open()
    await app[DISCONNECTED].recover()
    kept = len(await state.sets.history(DEFAULT_SET).generations())
    log.info("state file: %d earlier character sets, %d conversations", kept, len(app[DISCONNECTED]))
    yield
    await app[SESSION_WRITER].close()
    await state.close()
