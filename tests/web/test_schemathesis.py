"""Responses to requests generated from the OpenAPI document conform to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck
from hypothesis import settings as examples
from schemathesis import AuthContext, Case

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import API
from tests.conftest import character

# Plain HTTP requests are always refused there.
UPGRADES = ("/v1/realtime",)
schemathesis.checks.load_all_checks()
schemathesis.serializer.alias("application/x-tar", "application/octet-stream")
SOUND_IS_ACCEPTED: Any = schemathesis.checks.CHECKS.get_one("positive_data_acceptance")

KEYS: dict[str, Any] = {"api_key": "chat-key", "admin_key": "admin-key"}
SCHEMA = schemathesis.openapi.from_dict(create_app(Settings(**KEYS))[API].document)


@SCHEMA.auth()
class Key:
    """Sends the admin key, which lets its holder talk too."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        return str(KEYS["admin_key"])

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on loopback with keys and one character, Ada; its address."""
    directory = tmp_path_factory.mktemp("characters")
    (directory / "ada.py").write_text(character("Ada"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(
        create_app(Settings(directory=directory, **KEYS)), access_log=None, handler_cancellation=True
    )
    try:
        yield asyncio.run_coroutine_threadsafe(listening(runner), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def listening(runner: web.AppRunner) -> str:
    """Start on any free port."""
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


@SCHEMA.parametrize()
@examples(max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: Case[Any], server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every response to a valid or invalid request has a status, a content type and a shape of the document."""
    aim(case, tmp_path_factory.getbasetemp() / "nothing")
    # A generated ETag is never that of the current set.
    is_conditional = "If-Match" in (case.headers or {})
    # Nor is a generated id that of a stored response.
    goes_on = isinstance(case.body, dict) and case.body.get("previous_response_id") is not None
    excluded = [SOUND_IS_ACCEPTED] if case.path in UPGRADES or is_conditional or goes_on else []
    case.call_and_validate(base_url=server, excluded_checks=excluded)


def aim(case: Case[Any], folder: Path) -> None:
    """Aim half of the requests at Ada, and keep reloads below *folder*, so that no other files are executed."""
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("model"), str):
        body["model"] = "Ada"
    for name in case.path_parameters or {}:
        if len(str(case.path_parameters[name])) % 2:
            case.path_parameters[name] = "ada" if case.path.startswith("/v1/sets") else "Ada"
    if isinstance(where := body.get("directory"), str) and where.startswith("/"):
        body["directory"] = f"{folder}/{where.replace('..', '')}"
