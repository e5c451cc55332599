"""A server process: one application on its event loop, until a signal ends it."""

from __future__ import annotations

import errno
import logging
import re
import signal
from collections.abc import AsyncIterator

from aiohttp import web

from charhost.errors import SettingsError
from charhost.llm.openai.endpoint import Endpoint
from charhost.memory.allocator import return_large_blocks
from charhost.memory.quiet_collections import QuietCollections
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import BUDGET, SESSIONS, SETS
from charhost.web.process.forks import give_up_in_children
from charhost.web.process.server_loop import FewAtOnce, ServerLoop, most_connections
from charhost.web.process.signals import signals
from charhost.web.process.watchdog import watchdog
from charhost.web.security.tls import tls_context

log = logging.getLogger("charhost.web")

_FILE = 12 << 10  # bytes that a character takes, with its modules


def serve(settings: Settings, app: web.Application | None = None) -> None:
    """Serve until SIGINT or SIGTERM; raises `SettingsError` if it cannot listen, or has no use for the certificate."""
    tls = tls_context(settings.tls_cert, settings.tls_key)
    return_large_blocks()
    log.info("%s", _model_in_use(settings))
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a timer that a file set would end the process
    app = create_app(settings) if app is None else app
    app.cleanup_ctx[:0] = [signals, watchdog, _collecting]
    selector = FewAtOnce()
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


async def _collecting(app: web.Application) -> AsyncIterator[None]:
    """Collect garbage in quiet moments: the collector is that of the process, which the application has for itself."""

    def held() -> int:
        return app[BUDGET].in_use + app[SETS].files_alive * _FILE

    collections = QuietCollections(held, lambda: app[SESSIONS].are_closing)
    yield
    collections.close()


def _model_in_use(settings: Settings) -> str:
    if settings.llm_url is None:
        return "looking for a model's server on this machine (or set CHARHOST_LLM_URL): the stand-in answers until then"
    if settings.llm_address is None:
        return "no language model configured (set CHARHOST_LLM_URL): using the offline stand-in"
    model = settings.llm_model or "the first model"
    return f"characters speak with {model} at {Endpoint(settings.llm_address).host}"


def _announce(banner: str) -> None:
    log.info("character server listens on %s", " ".join(re.findall(r"https?://\S+", banner)))
