"""The application: its owners, its routes, its start and its end, in the order in which they happen."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from charhost.character.character import CharacterSet
from charhost.conversation.continued import ContinuedConversations
from charhost.conversation.conversation import Conversations
from charhost.llm.openai.provider import UpstreamModels
from charhost.memory.budget import MemoryBudget
from charhost.memory.machine import available_memory
from charhost.memory.offload import Offload
from charhost.metrics import Metrics
from charhost.report import ReloadReport
from charhost.resume.disconnected import DisconnectedSessions
from charhost.sets.character_sets import CharacterSets
from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.text import display
from charhost.threads.worker_pool import WorkerPool
from charhost.web.connections.expectations import with_expectations
from charhost.web.connections.malformed import hide_malformed_requests
from charhost.web.connections.readers import Readers
from charhost.web.docs.api import Api
from charhost.web.docs.manual import Manual
from charhost.web.events.feed import Feed
from charhost.web.events.figures import FiguresOfLastHour
from charhost.web.events.publishing import publishing
from charhost.web.http.body import leave_body
from charhost.web.http.middleware import errors_to_json, with_authority, with_memory
from charhost.web.http.paths import OtherSpellings
from charhost.web.keys import (
    API,
    BUDGET,
    CONTINUED,
    CONVERSATIONS,
    DISCONNECTED,
    FEED,
    FIGURES,
    GATE,
    MANUAL,
    METRICS,
    MODEL_OPTIONS,
    MODELS,
    OFFLOAD,
    READERS,
    RUNNING,
    SESSION_WRITER,
    SESSIONS,
    SETS,
    SETTINGS,
    STARTED,
)
from charhost.web.openai.model_options import ModelOptions
from charhost.web.process.foreign_log import filter_foreign_loggers
from charhost.web.routes import ROUTES
from charhost.web.saving import records_of
from charhost.web.security.authority import Gate
from charhost.web.security.cors import Cors
from charhost.web.security.origins import AllowedOrigins
from charhost.web.sessions.sessions import Sessions
from charhost.web.voice import use_engines

if TYPE_CHECKING:
    from charhost.fleet.engine.engine import Engine

log = logging.getLogger("charhost.web")

# Of the memory, for everything held for clients: the rest is for the characters, and for requests at work.
_SHARE = 4


def create_app(
    settings: Settings | None = None, engines: Engines | None = None, fleet: Engine | None = None
) -> web.Application:
    """Make the application, for tests with *engines* of speech and of the *fleet*; several in one process do not meet.

    Raises `SettingsError`.
    """
    settings = settings or Settings()
    filter_foreign_loggers()
    hide_malformed_requests()
    cors = Cors(AllowedOrigins(settings.cors_origin))
    app = web.Application(middlewares=[errors_to_json, with_memory, with_authority, cors.preflight])
    app[SETTINGS] = settings
    app[STARTED] = int(time.time())
    app[METRICS] = Metrics()
    budget = app[BUDGET] = MemoryBudget(settings.memory_budget or available_memory() // _SHARE, app[METRICS])
    app[OFFLOAD] = Offload()
    app[GATE] = Gate(settings, app[METRICS], budget)
    records = records_of(app, fleet)
    app[DISCONNECTED] = DisconnectedSessions(settings.resume_max, settings.resume_ttl, app[SESSION_WRITER], budget)
    app[METRICS].sessions_parked.set_function(lambda: len(app[DISCONNECTED]))
    app[SESSIONS] = Sessions(settings, app[METRICS])
    pool = WorkerPool()
    app[READERS] = Readers(app[METRICS], budget)
    app[MODELS] = UpstreamModels(settings, budget)
    app[CONVERSATIONS] = Conversations(settings, app[METRICS], app[MODELS], pool, app[OFFLOAD])
    app[CONTINUED] = ContinuedConversations(settings.resume_max, settings.resume_ttl, budget)
    app[MODEL_OPTIONS] = ModelOptions(settings.llm_pass or "")
    app[RUNNING] = {}
    app[SETS] = CharacterSets(settings, app[METRICS], app[SESSIONS], pool, records)
    app[SETS].listen(partial(_continue, app))
    use_engines(app, engines)
    _join_fleet(app)
    app[FEED] = Feed(budget)
    app[FIGURES] = FiguresOfLastHour(app[METRICS])
    app.cleanup_ctx.extend((_offloading, _models, publishing, _first_load, _watching, app[READERS].run))
    app.on_response_prepare.extend((cors.mark, app[READERS].note, leave_body))
    app.on_shutdown.append(_stop)
    app.add_routes(map(with_expectations, ROUTES))
    app.router.register_resource(OtherSpellings(app.router))
    app[API] = Api(app.router, settings)
    app[MANUAL] = Manual()
    return app


def _join_fleet(app: web.Application) -> None:
    """Make the application a node if its settings have a fleet; without one nothing of that is imported."""
    if app[SETTINGS].fleet is not None:
        from charhost.web.fleet.node import join

        join(app)


async def _offloading(app: web.Application) -> AsyncIterator[None]:
    yield
    app[OFFLOAD].close()


async def _models(app: web.Application) -> AsyncIterator[None]:
    finding = asyncio.create_task(app[MODELS].find())  # a server that is not there yet delays nothing
    yield
    finding.cancel()
    await asyncio.gather(finding, return_exceptions=True)
    await app[MODELS].close()


async def _first_load(app: web.Application) -> AsyncIterator[None]:
    """Load characters before the server listens."""
    await app[SETS].start()
    for warning in _warnings(app[SETTINGS], app[SETS].default.manager.current):
        log.warning("%s", warning)
    yield
    await app[SETS].unload(app[SETTINGS].shutdown_timeout)


def _continue(app: web.Application, report: ReloadReport, current: CharacterSet) -> None:
    if report.outcome == "applied":
        if report.generation == 1:
            app[CONVERSATIONS].prompts.forget(report.set)
        app[CONTINUED].follow(report.set, report.sessions.policy, current)


async def _watching(app: web.Application) -> AsyncIterator[None]:
    app[SETS].watch()
    yield
    await app[SETS].unwatch()


async def _stop(app: web.Application) -> None:
    await asyncio.gather(app[SETS].close(app[SETTINGS].shutdown_timeout), app[SESSIONS].close())
    app[FEED].close()
    app[DISCONNECTED].close()  # the last sessions have just come, and are saved for the next server


def _warnings(settings: Settings, current: CharacterSet) -> Iterator[str]:
    """Yield a warning for each setting that is unsafe or has no effect now; a reload may change that."""
    yield from settings.warnings()
    for root in settings.roots:
        if not os.path.isdir(root):
            yield f"allowed_roots (--allowed-roots): there is no directory {display(str(root))}"
    name, other = settings.character, current.default(settings.character)
    if name is not None and other is not None and current.find(name) is None:
        yield f"character (--character): there is no {name}; {other.name} answers instead"
    if settings.task_model is not None and current.find(settings.task_model) is not None:
        yield f"task_model (--task-model): a character is called {settings.task_model} and answers instead"
