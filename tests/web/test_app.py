"""The application: its owners, its routes, its start and its end."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from charhost.errors import SettingsError
from charhost.memory.collector import freeze_old
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import METRICS, MODELS, SESSIONS, SETS
from charhost.web.serve import serve
from tests.conftest import Client, character
from tests.reload.helpers import Gate, Write

StartClient = Callable[..., Awaitable[Client]]

ROUTES = [
    ("GET", "/"),
    ("GET", "/v1/characters"),
    ("GET", "/v1/characters/Ada"),
    ("GET", "/v1/characters/status"),
    ("GET", "/v1/health"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/Ada"),
    ("GET", "/v1/voices"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/api"),
    ("GET", "/docs/settings"),
    ("GET", "/docs/page.js"),
    ("POST", "/v1/characters/reload"),
    ("POST", "/v1/chat/completions"),
]
CHAT = {"model": "Ada", "messages": [{"role": "user", "content": "Hi"}]}


def names(client: Client) -> list[str]:
    """Return the names of the current characters."""
    return list(client.app[SETS].default.manager.current)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_each_route_exists(client: Client, method: str, path: str) -> None:
    """Each route has a response."""
    body = CHAT if "chat" in path else {}
    assert (await client.request(method, path, json=body if method == "POST" else None)).status == 200


async def test_realtime_exists(client: Client) -> None:
    """The WebSocket can be connected to."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        assert (await ws.receive_json())["type"] == "session.created"


async def test_the_first_load_is_done_before_the_server_listens(client: Client) -> None:
    """The first request finds the characters, loaded by the start."""
    catalog = await (await client.get("/v1/characters")).json()
    assert (catalog["generation"], len(catalog["characters"])) == (1, 1)
    value = client.app[METRICS].registry.get_sample_value
    assert value("charhost_reloads_total", {"trigger": "startup", "outcome": "applied"}) == 1


async def test_a_broken_file_does_not_stop_the_start(
    aiohttp_client: StartClient, settings: Settings, write: Write
) -> None:
    """The others are served."""
    write("bob.py", "def broken(:")
    client = await aiohttp_client(create_app(settings))
    assert [found["name"] for found in (await (await client.get("/v1/characters")).json())["characters"]] == ["Ada"]


def missing(directory: Path) -> None:
    (directory / "ada.py").unlink()
    directory.rmdir()


def empty(directory: Path) -> None:
    (directory / "ada.py").unlink()


def broken(directory: Path) -> None:
    (directory / "ada.py").write_text("raise SystemExit")


@pytest.mark.parametrize("happen", [missing, empty, broken])
async def test_a_start_without_characters_serves_an_empty_set(
    aiohttp_client: StartClient,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    happen: Callable[[Path], None],
) -> None:
    """A server without characters starts, warns, and has an empty set in its health (promise 11)."""
    happen(settings.directory)
    client = await aiohttp_client(create_app(settings))
    health = await (await client.get("/v1/health")).json()
    assert (health["ok"], health["characters"], health["generation"]) == (False, 0, 0)
    assert health["reason"] == "no character is loaded"
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any("no character is served until a reload succeeds" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("character", "Nobody", ["character (--character): there is no Nobody; Ada answers instead"]),
        ("character", " Ada", []),
        ("allowed_roots", "/:/nope", ["allowed_roots (--allowed-roots): there is no directory /nope"]),
    ],
)
async def test_a_start_warns_of_what_means_nothing(
    aiohttp_client: StartClient,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    value: str,
    expected: list[str],
) -> None:
    """An unknown default name and a missing root are warned about, as both are most likely misspelled."""
    await aiohttp_client(create_app(Settings(directory=settings.directory, **{setting: value})))
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == expected


async def test_an_empty_start_is_mended_by_a_reload(aiohttp_client: StartClient, settings: Settings) -> None:
    """When the directory has come, a reload fills the set."""
    empty(settings.directory)
    client = await aiohttp_client(create_app(settings))
    assert await (await client.get("/v1/voices")).json() == []
    (settings.directory / "ada.py").write_text(character("Ada"))
    assert (await client.post("/v1/characters/reload", json={})).status == 200
    assert (await (await client.get("/v1/health")).json())["ok"]


async def test_two_applications_do_not_meet(
    aiohttp_client: StartClient, settings: Settings, write: Write, tmp_path: Path
) -> None:
    """Two servers in one process have characters, sessions and counters of their own."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    ours = await aiohttp_client(create_app(settings))
    theirs = await aiohttp_client(create_app(Settings(directory=tmp_path / "other")))
    async with theirs.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive()
        write("ada.py", character("Ada", "Be brief."))
        assert (await (await ours.post("/v1/characters/reload", json={})).json())["sessions"]["total"] == 0
        assert (names(ours), names(theirs)) == (["Ada"], ["Bob"])
        assert (len(ours.app[SESSIONS]), len(theirs.app[SESSIONS])) == (0, 1)
    generation = [app[METRICS].registry.get_sample_value("charhost_generation") for app in (ours.app, theirs.app)]
    assert generation == [2, 1]


async def test_helpers_of_two_applications_do_not_meet(
    aiohttp_client: StartClient, settings: Settings, write: Write, tmp_path: Path
) -> None:
    """Two servers import `characters.resources.x` each from its own directory."""
    source = f"from characters.resources.x import NAME\n{character('Ada')}\nCHARACTER_NAME = NAME"
    write("ada.py", source)
    write("resources/x.py", "NAME = 'Ours'")
    (tmp_path / "other" / "resources").mkdir(parents=True)
    (tmp_path / "other" / "ada.py").write_text(source)
    (tmp_path / "other" / "resources" / "x.py").write_text("NAME = 'Theirs'")
    ours = await aiohttp_client(create_app(settings))
    theirs = await aiohttp_client(create_app(Settings(directory=tmp_path / "other")))
    await ours.post("/v1/characters/reload", json={})
    assert (names(ours), names(theirs)) == (["Ours"], ["Theirs"])


async def test_shutdown_waits_for_a_reload(client: Client, write: Write, gate: Gate) -> None:
    """At a shutdown a running reload is finished and reported; a queued one gets 503 (promise 17)."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    running = asyncio.create_task(client.post("/v1/characters/reload", json={}))
    await gate.until_reached()
    waiting = asyncio.create_task(client.post("/v1/characters/reload", json={"reason": "too late"}))
    async with asyncio.timeout(60):
        while len(client.app[SETS].default.manager._queue._tasks) < 2:
            await asyncio.sleep(0.01)
    closing = asyncio.create_task(client.server.close())
    await asyncio.sleep(0.05)
    gate.opened.set()
    assert (await running).status == 200
    refused = await waiting
    assert (refused.status, (await refused.json())["code"], refused.headers["Retry-After"]) == (503, "stopping", "5")
    await asyncio.wait_for(closing, 60)


async def test_the_models_are_closed_at_the_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to models do not outlive the application, and do not end before it."""
    closed: list[int] = []

    async def close() -> None:
        closed.append(len(client.app[SESSIONS]))

    monkeypatch.setattr(client.app[MODELS], "close", close)
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive()
        assert closed == []
        await client.server.close()
    assert closed == [0]


@pytest.fixture
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `serve` from changing the process of the tests."""
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    monkeypatch.setattr("gc.freeze", lambda: None)


@pytest.mark.usefixtures("quiet_process")
def test_serve_runs_the_application_as_the_tests_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In production a handler is cancelled when its client leaves, as in aiohttp's test server; sockets are not
    logged with their query."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(web, "run_app", lambda app, **options: seen.update(options))
    serve(settings)
    assert (seen["host"], seen["port"]) == ("127.0.0.1", 8000)
    assert (seen["handler_cancellation"], seen["access_log"]) == (True, None)
    assert seen["shutdown_timeout"] == settings.shutdown_timeout


async def test_application_leaves_the_collector_of_its_process_alone(client: Client) -> None:
    """An application that others may be beside changes nothing of the collector."""
    assert gc.get_threshold()[2] < 1_000


@pytest.mark.usefixtures("quiet_process")
def test_serve_leaves_old_garbage_to_quiet_moments(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that is the server's own, objects that grow old are looked at no more, until the server stops."""
    seen: list[bool] = []

    async def run(app: web.Application) -> None:
        runner = web.AppRunner(app)
        await runner.setup()
        seen.append(freeze_old in gc.callbacks)
        await runner.cleanup()

    monkeypatch.setattr(web, "run_app", lambda app, **options: asyncio.run(run(app)))
    serve(settings)
    assert seen == [True]
    assert freeze_old not in gc.callbacks


@pytest.mark.usefixtures("quiet_process")
@pytest.mark.parametrize(
    ("url", "model", "expected"),
    [
        (None, None, "looking for a model's server on this machine (or set CHARHOST_LLM_URL)"),
        ("none", None, "no language model configured (set CHARHOST_LLM_URL): using the offline stand-in"),
        ("http://llm.example:11434/v1?key=s3cret", "tiny", "characters speak with tiny at llm.example:11434"),
        ("http://llm.example/v1", None, "characters speak with the first model at llm.example"),
    ],
)
def test_serve_logs_the_model_in_use(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    url: str | None,
    model: str | None,
    expected: str,
) -> None:
    """The log has at the start whether a model is connected, and which one, without a key."""
    monkeypatch.setattr(web, "run_app", lambda app, **options: None)
    caplog.set_level(logging.INFO)
    serve(Settings(directory=settings.directory, llm_url=url, llm_model=model, llm_key="s3cret"))
    assert expected in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.usefixtures("quiet_process")
def test_serve_shows_its_certificate(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    """With a certificate and its key the server uses TLS."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(web, "run_app", lambda app, **options: seen.update(options))
    serve(Settings(directory=settings.directory, tls_cert=certificate[0], tls_key=certificate[1]))
    assert isinstance(seen["ssl_context"], ssl.SSLContext)
    serve(settings)
    assert seen["ssl_context"] is None


@pytest.mark.usefixtures("quiet_process")
def test_serve_allows_as_many_sockets_as_it_may(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit of open files is raised to the hard one."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(web, "run_app", lambda app, **options: None)
    monkeypatch.setattr("resource.getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda kind, both: limits.append(both))
    serve(settings)
    assert limits == [(4096, 4096)]


@pytest.mark.usefixtures("quiet_process")
def test_serve_names_the_address_of_a_failed_bind(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is not this machine's becomes an error that names it."""

    def run_app(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(web, "run_app", run_app)
    with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1:8000: Cannot assign requested address"):
        serve(settings)
