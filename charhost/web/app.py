"""The application: its owners, its routes, its start and its end, in the order in which they happen."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import re
import selectors
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from charhost.character.character import CharacterSet
from charhost.character.worker_pool import WorkerPool
from charhost.conversation.continued import ContinuedConversations
from charhost.conversation.conversation import Conversations
from charhost.errors import SettingsError
from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.provider import UpstreamModels
from charhost.memory.budget import MemoryBudget
from charhost.memory.machine import available_memory
from charhost.memory.offload import Offload
from charhost.memory.quiet_collections import QuietCollections
from charhost.metrics import Metrics
from charhost.report import ReloadReport
from charhost.resume.disconnected import DisconnectedSessions
from charhost.sets.character_sets import CharacterSets
from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.text import display
from charhost.web.body import leave_body
from charhost.web.docs.api import Api
from charhost.web.docs.manual import Manual
from charhost.web.events.feed import Feed
from charhost.web.events.figures import FiguresOfLastHour
from charhost.web.events.publishing import publishing
from charhost.web.expectations import with_expectations
from charhost.web.fleet.routes import ROUTES as FLEET_ROUTES
from charhost.web.fleet.routes import join_fleet
from charhost.web.foreign_log import filter_foreign_loggers
from charhost.web.forks import give_up_in_children
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
from charhost.web.later import later
from charhost.web.malformed import hide_malformed_requests
from charhost.web.middleware import errors_to_json, with_authority, with_memory
from charhost.web.model_options import ModelOptions
from charhost.web.paths import OtherSpellings
from charhost.web.readers import Readers
from charhost.web.saving import records_of
from charhost.web.security.authority import Gate
from charhost.web.security.cors import Cors
from charhost.web.security.origins import AllowedOrigins
from charhost.web.security.tls import tls_context
from charhost.web.server_loop import ServerLoop, most_connections
from charhost.web.sessions.sessions import Sessions
from charhost.web.signals import signals
from charhost.web.voice import use_engines
from charhost.web.watchdog import watchdog

if TYPE_CHECKING:
    from charhost.fleet.engine import Engine

log = logging.getLogger("charhost.web")

# Of the memory, for everything held for clients: the rest is for the characters, and for requests at work.
_SHARE = 4

_POSTED = "reload|rollback|watch/resume|.+/tools/[^/]+"

_ROUTES = (
    web.get("/", later("studio.handler", "index")),
    web.get("/studio/{path:.+}", later("studio.handler", "file")),
    web.get("/v1/characters", later("catalog", "characters")),
    web.post("/v1/characters/reload", later("reload", "reload")),
    web.post("/v1/characters/rollback", later("reload", "rollback")),
    web.get("/v1/characters/reloads", later("reload", "attempts")),
    web.get("/v1/characters/reloads/{reload_id}", later("reload", "attempt")),
    web.post("/v1/characters/watch/resume", later("reload", "resume_watch")),
    web.get("/v1/characters/status", later("monitoring", "status")),
    web.get("/v1/characters/source", later("inspection", "source")),
    web.get("/v1/characters/{name:.+}/prompt", later("inspection", "prompt")),
    web.post("/v1/characters/{name:.+}/tools/{tool:[^/]+}", later("inspection", "call_tool")),
    # Not the paths of POST: a GET of them is refused as such, whatever characters are called.
    web.get(f"/v1/characters/{{name:(?!(?:{_POSTED})$).+}}", later("catalog", "character")),
    web.get("/v1/sets", later("sets", "sets")),
    web.put("/v1/sets/{name}", later("sets", "put_set")),
    web.delete("/v1/sets/{name}", later("sets", "delete_set")),
    web.get("/v1/voices", later("catalog", "voices")),
    web.get("/v1/health", later("monitoring", "health")),
    web.get("/v1/ready", later("monitoring", "ready")),
    *FLEET_ROUTES,
    web.get("/v1/models", later("catalog", "models")),
    web.get("/v1/models/{id:(?!/).*[^/]}", later("catalog", "model")),
    web.post("/v1/chat/completions", later("completions.handler", "completions")),
    web.post("/v1/responses", later("responses.handler", "create")),
    web.get("/v1/responses/{id}", later("responses.handler", "retrieve")),
    web.delete("/v1/responses/{id}", later("responses.handler", "delete")),
    web.post("/v1/responses/{id}/cancel", later("responses.handler", "cancel")),
    web.get("/v1/responses/{id}/input_items", later("responses.handler", "input_items")),
    web.get("/v1/realtime", later("realtime.handler", "realtime")),
    web.post("/v1/realtime/client_secrets", later("realtime.client_secrets", "create_client_secret")),
    web.post("/v1/audio/speech", later("audio.speech", "speech")),
    web.post("/v1/audio/transcriptions", later("audio.transcriptions", "transcriptions")),
    web.get("/v1/audio/voices", later("audio.catalog", "audio_voices")),
    web.get("/v1/audio/models", later("audio.catalog", "audio_models")),
    web.get("/v1/model", later("model_choice", "model_in_use")),
    web.put("/v1/model", later("model_choice", "choose_model")),
    web.get("/v1/events", later("events.handler", "events")),
    web.get("/v1/figures", later("events.handler", "figures")),
    web.get("/metrics", later("monitoring", "metrics")),
    web.get("/openapi.json", later("docs.handler", "openapi")),
    web.get("/docs", later("docs.handler", "manual_index")),
    web.get("/docs/api", later("docs.handler", "api_page")),
    web.get("/docs/{page}", later("docs.handler", "manual_page")),
)


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
    join_fleet(app)
    app[FEED] = Feed(budget)
    app[FIGURES] = FiguresOfLastHour(app[METRICS])
    app.cleanup_ctx.extend((_collecting, _offloading, _models, publishing, _first_load, _watching, app[READERS].run))
    app.on_response_prepare.extend((cors.mark, app[READERS].note, leave_body))
    app.on_shutdown.append(_stop)
    app.add_routes(map(with_expectations, _ROUTES))
    app.router.register_resource(OtherSpellings(app.router))
    app[API] = Api(app.router, settings)
    app[MANUAL] = Manual()
    return app


def serve(settings: Settings, app: web.Application | None = None) -> None:
    """Serve until SIGINT or SIGTERM; raises `SettingsError` if it cannot listen, or has no use for the certificate."""
    tls = tls_context(settings.tls_cert, settings.tls_key)
    log.info("%s", _model_in_use(settings))
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a timer that a file set would end the process
    gc.collect()  # before all is frozen
    app = create_app(settings) if app is None else app
    app.cleanup_ctx[:0] = [signals, watchdog]
    selector = selectors.DefaultSelector()
    give_up_in_children(selector, settings.state)
    try:
        web.run_app(
            app,
            host=settings.host,
            port=settings.port,
            ssl_context=tls,
            shutdown_timeout=settings.shutdown_timeout,
            # On, as in aiohttp's test server: work that a leaving client must not stop belongs to an owner's task.
            handler_cancellation=True,
            access_log=None,
            print=_announce,
            loop=ServerLoop(selector, most_connections(settings.llm_concurrency)),
        )
    except OSError as e:
        taken = "the address is in use; choose another with --port"
        why = taken if e.errno == errno.EADDRINUSE else e.strerror or e
        raise SettingsError(f"cannot listen on {settings.host}:{settings.port}: {why}") from e


async def _collecting(_: web.Application) -> AsyncIterator[None]:
    collections = QuietCollections()
    yield
    collections.close()


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


def _model_in_use(settings: Settings) -> str:
    if settings.llm_url is None:
        return "looking for a model's server on this machine (or set CHARHOST_LLM_URL): the stand-in answers until then"
    if settings.llm_address is None:
        return "no language model configured (set CHARHOST_LLM_URL): using the offline stand-in"
    model = settings.llm_model or "the first model"
    return f"characters speak with {model} at {Endpoint(settings.llm_address).host}"


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


def _announce(banner: str) -> None:
    log.info("character server listens on %s", " ".join(re.findall(r"https?://\S+", banner)))
