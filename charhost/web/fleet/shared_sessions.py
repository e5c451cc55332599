"""Sessions of a fleet, which any of its nodes can resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from charhost.fleet.documents import Documents
from charhost.fleet.engine.engine import Engine
from charhost.fleet.options import engine_for
from charhost.fleet.signature import Signature
from charhost.fleet.talks.talk import TalkArchive
from charhost.resume.shared_writer import SharedWriter
from charhost.web.keys import (
    BUDGET,
    CHAINS,
    DISCONNECTED,
    FLEET_ENGINE,
    GATE,
    METRICS,
    OFFLOAD,
    SESSION_WRITER,
    SESSIONS,
    SETTINGS,
)
from charhost.web.responses.shared_chains import SharedChains
from charhost.web.security.shared_secrets import SharedSecrets


def share_sessions(app: web.Application, engine: Engine | None = None) -> None:
    """Save sessions, responses and client secrets in the engine of the fleet.

    Raise `SettingsError` if the settings of the fleet cannot work.
    """
    settings = app[SETTINGS]
    app[FLEET_ENGINE] = engine = engine or engine_for(settings)
    assert settings.fleet_key is not None
    signature = Signature(settings.fleet_key.get_secret_value(), settings.fleet_name)
    archive = TalkArchive(engine, signature, settings.resume_ttl, app[OFFLOAD])
    archive.on_lost = partial(_lose, app)
    app[SESSION_WRITER] = SharedWriter(archive, app[METRICS])
    documents = Documents(engine, signature)
    app[GATE].secrets = SharedSecrets(documents, app[BUDGET])
    app[CHAINS] = chains = SharedChains(
        documents, app[OFFLOAD], archive.renewal, app[METRICS], settings.resume_ttl, app[BUDGET]
    )
    app.cleanup_ctx.append(partial(_share, archive, chains))


async def _share(archive: TalkArchive, chains: SharedChains, app: web.Application) -> AsyncIterator[None]:
    await app[FLEET_ENGINE].start()
    renewing = asyncio.create_task(_renew(app, archive.renewal))
    yield
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
    await app[SESSION_WRITER].close()
    await chains.close()
    await archive.close()
    await app[FLEET_ENGINE].close()


async def _renew(app: web.Application, seconds: float) -> None:
    """Have silent sessions saved anew: old copies are dropped."""
    while True:
        await asyncio.sleep(seconds)
        app[SESSIONS].note_all()


def _lose(app: web.Application, session_id: str) -> None:
    """End this node's copy of a session that another one has resumed."""
    app[SESSIONS].lose(session_id)
    app[DISCONNECTED].discard(session_id)
