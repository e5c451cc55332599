"""OpenAI's SDK and OpenAI's agents for JavaScript, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.options import FleetOptions
from charhost.fleet.setup import begin
from charhost.llm.model import ModelError
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from charhost.web.security.tls import tls_context
from tests.conftest import character
from tests.e2e.balanced import SERVERS, balance
from tests.fleet.talks.helpers import KEY
from tests.scripted import call, end
from tests.web.realtime.openai_client import Script

SCRIPTS = Path(__file__).parent / "node"
PATIENCE = 180.0

StartServer = Callable[..., Awaitable[TestServer]]
Line = Callable[[], Awaitable[Any]]


@pytest.fixture
def script() -> Script:
    """The scripted model of all characters."""
    return Script()


@pytest.fixture(params=SERVERS)
def mode(request: pytest.FixtureRequest) -> str:
    """A server alone, or the mode of the load balancer of a fleet."""
    return str(request.param)


@pytest.fixture
async def url(
    aiohttp_server: StartServer, directory: Path, script: Script, mode: str, tmp_path: Path
) -> AsyncIterator[str]:
    """The address of a server with Ada, or of a fleet of them."""
    async with address(aiohttp_server, directory, script, mode, tmp_path) as url:
        yield url


@pytest.fixture
async def secure(
    aiohttp_server: StartServer,
    directory: Path,
    script: Script,
    mode: str,
    tmp_path: Path,
    certificate: tuple[Path, Path],
) -> AsyncIterator[str]:
    """The address of such a server, or fleet, behind TLS."""
    if mode == "http":
        pytest.skip("the load balancer would have to end TLS")
    ssl = tls_context(*certificate)
    async with address(aiohttp_server, directory, script, mode, tmp_path, ssl=ssl) as url:
        yield url


@asynccontextmanager
async def address(
    aiohttp_server: StartServer, directory: Path, script: Script, mode: str, home: Path, **options: Any
) -> AsyncIterator[str]:
    """Start one server, or three nodes of a fleet and their load balancer; yield its address."""
    if mode == "alone":
        app = create_app(Settings(directory=directory))
        app[CONVERSATIONS].models = script
        yield str((await aiohttp_server(app, **options)).make_url("/v1"))
        return
    store, urls = MemoryStore(), {}
    await begin(MemoryEngine(store), FleetOptions(fleet="charhost", node="setup", key=KEY))
    for name in ("n1", "n2", "n3"):
        settings = Settings(directory=directory, fleet="nats://127.0.0.1:1", fleet_node=name, fleet_key=SecretStr(KEY))
        app = create_app(settings, fleet=MemoryEngine(store))
        app[CONVERSATIONS].models = script
        urls[name] = str((await aiohttp_server(app, **options)).make_url(""))
    process, front = await asyncio.to_thread(balance, home, mode, urls)
    try:
        await listening(front)
        yield f"{front}/v1".replace("http", "https" if options else "http", 1)
    finally:
        process.kill()
        process.wait()


async def listening(url: str) -> None:
    """Wait until the load balancer has found its nodes."""
    parts = urlsplit(url)
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    extensions = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *extensions], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def node(packages: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run a script beside the packages; return the reader of its output."""
    (tmp_path / "node_modules").symlink_to(packages)
    shutil.copytree(SCRIPTS, tmp_path, dirs_exist_ok=True)

    @asynccontextmanager
    async def node(script: str, *arguments: str, ca: Path | None = None) -> AsyncIterator[Line]:
        environment = os.environ | {"OPENAI_AGENTS_DISABLE_TRACING": "1"}
        if ca is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(ca)
        errors = (tmp_path / "errors").open("wb")
        process = await asyncio.create_subprocess_exec(
            *("node", script, *arguments), stdout=subprocess.PIPE, stderr=errors, cwd=tmp_path, env=environment
        )
        errors.close()
        out = process.stdout
        assert out is not None

        async def line() -> Any:
            text = await asyncio.wait_for(out.readline(), PATIENCE)
            assert text, (tmp_path / "errors").read_text()
            return json.loads(text)

        try:
            yield line
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0, (tmp_path / "errors").read_text()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return node


def realtime(url: str) -> str:
    """The address of the socket."""
    return f"{url.replace('http', 'ws', 1)}/realtime?model=Ada"


# @openai/agents


async def test_agent_text_turn(node: Any, url: str, script: Script) -> None:
    """An agent has a turn, and keeps the character's message in its history."""
    script.then("Hello", " there.")
    async with node("agent.mjs", realtime(url), "turn") as line:
        assert await line() == {"messages": [{"status": "completed", "text": "Hello there."}]}


async def test_agent_runs_its_tool(node: Any, url: str, script: Script) -> None:
    """A tool of the agent is run once, and its result is sent to the model."""
    script.then(call("get_weather", '{"city":"Rome"}'), end("tool_calls")).then("Sunny.")
    async with node("agent.mjs", realtime(url), "tool") as line:
        assert await line() == {"ran": "Rome"}
        assert (await line())["messages"] == [{"status": "completed", "text": "Sunny."}]
    assert script.messages[-1]["content"] == "sunny"
    assert [tool["function"]["name"] for tool in script.requests[0].tools] == ["get_weather"]


async def test_agent_updates_in_the_middle(node: Any, url: str, script: Script) -> None:
    """An update in the middle of a response is acknowledged at once, and the response continues."""
    script.then("Once", script.go, " upon")
    async with node("agent.mjs", realtime(url), "update") as line:
        assert await line() == {"updated": True}
        script.go.set()
        ended = await line()
    assert ended == {"status": "completed", "messages": [{"status": "completed", "text": "Once upon"}]}


async def test_agent_cancels(node: Any, url: str, script: Script) -> None:
    """A cancelled response stays in the history as far as it came, and the next one is not held up by it."""
    script.then("Once", script.go).then("Twice.")
    async with node("agent.mjs", realtime(url), "cancel") as line:
        ended = await line()
    assert ended["status"] == "cancelled"
    assert ended["messages"] == [{"status": "incomplete", "text": "Once"}, {"status": "completed", "text": "Twice."}]


async def test_agent_survives_a_failure(node: Any, url: str, script: Script) -> None:
    """After a response that failed without an error event the agent can request the next one."""
    script.then(ModelError("timeout", "Too slow.")).then("Better.")
    async with node("agent.mjs", realtime(url), "failure") as line:
        ended = await line()
    assert ended == {"status": "failed", "messages": [{"status": "completed", "text": "Better."}]}


# npm openai


@pytest.mark.parametrize("kind", ["ws", "websocket", "beta"])
async def test_realtime_turn(node: Any, secure: str, script: Script, certificate: tuple[Path, Path], kind: str) -> None:
    """The SDK's classes, which require TLS, receive the greeting, an error, and a turn."""
    script.then("Hello", " there.")
    async with node("realtime.mjs", kind, secure, ca=certificate[0]) as line:
        assert await line() == {"model": "Ada", "error": "mine", "text": "Hello there.", "status": "completed"}


async def test_chat_with_a_set(
    node: Any, aiohttp_server: StartServer, directory: Path, script: Script, tmp_path: Path
) -> None:
    """The SDK lists, retrieves and asks a character of another set by its full name."""
    games = tmp_path / "games"
    games.mkdir()
    (games / "charlotte.py").write_text(character("Charlotte"))
    app = create_app(Settings(directory=directory, set=f"gaming={games}"))
    app[CONVERSATIONS].models = script.then("Hello", " there.").then("Hello there.")
    url = str((await aiohttp_server(app)).make_url("/v1"))
    async with node("chat.mjs", url, "gaming/Charlotte") as line:
        report = await line()
    assert (report["models"], report["retrieved"]) == (["Ada", "gaming/Charlotte"], "gaming/Charlotte")
    assert ("".join(report["pieces"]), report["plain"]) == ("Hello there.", "Hello there.")


async def test_chat(node: Any, url: str, script: Script) -> None:
    """Chat completions, streamed and plain, and the list of models; an unknown one is an error of the SDK's."""
    script.then("Hello", " there.").then("Hello there.")
    async with node("chat.mjs", url) as line:
        report = await line()
    assert ("".join(report["pieces"]), report["plain"]) == ("Hello there.", "Hello there.")
    assert (report["usage"], report["models"], report["refused"]) == (10, ["Ada"], [404, "model_not_found"])
