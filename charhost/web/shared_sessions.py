"""Sessions of a fleet, which any of its nodes can resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from charhost.fleet.engine import Engine
from charhost.fleet.options import engine_of_settings
from charhost.fleet.signature import Signature
from charhost.fleet.talk import TalkArchive
from charhost.resume.shared_writer import SharedWriter
from charhost.web.keys import DISCONNECTED, FLEET_ENGINE, METRICS, SESSION_WRITER, SESSIONS, SETTINGS


def share_sessions(app: web.Application, engine: Engine | None = None) -> None:
    """Save the sessions in the engine of the fleet; raise `SettingsError` if its settings cannot work."""
    settings = app[SETTINGS]
    app[FLEET_ENGINE] = engine = engine or engine_of_settings(settings)
    assert settings.fleet_key is not None
    signature = Signature(settings.fleet_key.get_secret_value(), settings.fleet_name)
    archive = TalkArchive(engine, signature, settings.resume_ttl)
    archive.on_lost = partial(_lose, app)
    app[SESSION_WRITER] = SharedWriter(archive, app[METRICS])
    app.cleanup_ctx.append(partial(_share, archive))


async def _share(archive: TalkArchive, app: web.Application) -> AsyncIterator[None]:
    await app[FLEET_ENGINE].start()
    renewing = asyncio.create_task(_renew(app, archive.renewal))
    yield
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
    await app[SESSION_WRITER].close()
    await archive.close()
    await app[FLEET_ENGINE].close()


async def _renew(app: web.Application, seconds: float) -> None:
    """Have silent sessions saved anew: what was saved for long is dropped."""
    while True:
        await asyncio.sleep(seconds)
        app[SESSIONS].note_all()


def _lose(app: web.Application, session_id: str) -> None:
    """End what this node has of a session that another one has resumed."""
    app[SESSIONS].lose(session_id)
    app[DISCONNECTED].discard(session_id)
