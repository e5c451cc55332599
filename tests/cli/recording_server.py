"""A server that records its requests and returns a response that the test has set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner, Result

from charhost.cli import app
from charhost.report import FileError, ReloadReport, Serving, SessionImpact
from charhost.watch.health import WatcherStatus

PATH_OF = {
    "reload": "/v1/characters/reload",
    "rollback": "/v1/characters/rollback",
    "resume": "/v1/characters/watch/resume",
    "history": "/v1/characters/reloads",
    "status": "/v1/characters/status",
}

SERVING = Serving(generation=42, revision="sha256:ab", characters=9)
REPORT = ReloadReport(
    success=True,
    directory="/srv/characters",
    total_files=10,
    loaded_count=9,
    error_count=1,
    load_duration=0.45,
    message="Successfully loaded 9 characters from /srv/characters",
    reload_id="r1",
    outcome="applied",
    trigger="http",
    scope="all",
    dry_run=False,
    reason="because",
    generation=42,
    revision="sha256:ab",
    started_at="2026-11-22T10:00:00.123456Z",
    errors=(FileError(file="bob.py", line=12, error_type="SyntaxError", exception="SyntaxError", message="bad"),),
    sessions=SessionImpact(policy="close", total=3, affected=3),
    serving=SERVING,
)
WATCHER = WatcherStatus(up=True, mode="events", last_event=None, last_comparison=None, held=False, restarts=0)

RESPONSES: dict[str, Any] = {
    "reload": REPORT.model_dump(mode="json"),
    "rollback": REPORT.model_dump(mode="json"),
    "resume": WATCHER.model_dump(mode="json"),
    "history": {"reloads": [REPORT.model_dump(mode="json")]},
    "status": {
        "serving": SERVING.model_dump(mode="json"),
        "last_reload": REPORT.model_dump(mode="json"),
        "last_error": None,
        "in_progress": None,
        "watcher": None,
        "generations": [],
    },
}


@dataclass
class RecordingServer:
    """The recorded requests, and the response to return."""

    url: str = ""
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Record a request, and return the response."""
        body = await request.read()
        self.requests.append((request.method, request.path_qs, json.loads(body) if body else None))
        self.sent.append(dict(request.headers))
        await asyncio.sleep(self.pause)
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)

    async def run(self, *arguments: str, **environment: str) -> Result:
        """Run a command with the address of this server, and return its result."""
        command, *rest = arguments
        if self.body is None:
            self.body = RESPONSES[command]
        line = [command, "--url", self.url, *rest]
        return await asyncio.to_thread(CliRunner().invoke, app, line, env=environment)


async def start(aiohttp_server: Callable[..., Awaitable[TestServer]]) -> RecordingServer:
    """Start the server."""
    server = RecordingServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    started = await aiohttp_server(application)
    server.url = str(started.make_url("")).rstrip("/")
    return server
