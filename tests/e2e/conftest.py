"""Server processes, and their clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from charhost.report import DEFAULT_SET
from charhost.settings import default_directory
from scripts.benchmarks import processes
from tests.conftest import character
from tests.e2e.environments import node_modules
from tests.e2e.server_process import ServerProcess, start_server
from tests.event_tap import RECORDED, event_tap

__all__ = ["event_tap"]

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CHARHOST_")}
ENVIRONMENT["CHARHOST_LLM_URL"] = "none"
# For servers whose clients are sent too much to be checked.
UNTAPPED = dict(ENVIRONMENT)
ENVIRONMENT |= RECORDED.environment

# How long anything may take before a test gives up: nothing here is a measurement.
PATIENCE = 180.0

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@dataclass
class Server:
    """A server process that listens."""

    process: ServerProcess
    url: str
    directory: Path
    log: Path
    lines: list[str] = field(default_factory=list)
    set_name: str = DEFAULT_SET

    def talk(self) -> connect:
        """A client that talks to the default character of the set."""
        return connect(f"{self.url.replace('http', 'ws', 1)}/v1/realtime?dialect=ga&set={self.set_name}", proxy=None)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status of the process."""
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@pytest.fixture
def characters(tmp_path: Path) -> Path:
    """A copy of the default characters."""
    copy = tmp_path / "characters"
    shutil.copytree(default_directory(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@asynccontextmanager
async def running(
    directory: Path,
    *arguments: str,
    before: tuple[str, ...] = (),
    python: str = "",
    set_name: str = DEFAULT_SET,
) -> AsyncIterator[Server]:
    """Run a server on a free port until the end of the block."""
    log, output = directory.parent / "logs" / "server.log", directory.parent / "output"
    options = (*set_options(set_name, directory), "--port", free_port(), "--log-file", str(log), *arguments)
    process = start_server(*options, output=output, environment=ENVIRONMENT, before=before, python=python)
    try:
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(r"listens on (https?://\S+)\n", output.read_text(errors="replace"))):
                assert process.poll() is None, output.read_text(errors="replace")
                await asyncio.sleep(0.01)
        yield Server(process, found[1], directory, log, output.read_text(errors="replace").splitlines(), set_name)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, PATIENCE)


def free_port() -> str:
    """Return a port that no server listens on."""
    return str(processes.free_port())


async def output(*command: str, stdin: str = "", **environment: str) -> tuple[int | None, str, str]:
    """Return exit status, standard output and standard error of a command with *stdin* as its input."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT | environment
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="session")
def packages() -> Path:
    """A folder with the npm packages of OpenAI."""
    return node_modules("@openai/agents@0.20", "openai@7", "ws@8", "zod@4")


class BlockingServer:
    """A `charhost serve` process of its own, with a directory of good files, Ada and Zoe, as its default set.

    It may be a named set instead, which is then the one of all requests.
    """

    def __init__(
        self,
        home: Path,
        *options: str,
        before: Sequence[str] = (),
        port: int | None = None,
        set_name: str = DEFAULT_SET,
        directory: Path | None = None,
        python: str = "",
    ) -> None:
        self.home = home
        self.directory = directory or good_files(home / "good")
        self.query = "" if set_name == DEFAULT_SET else f"?set={set_name}"
        self.port = port or int(free_port())
        self.process = start_server(
            *(*set_options(set_name, self.directory), "--port", str(self.port), "--file-deadline", "30", *options),
            output=home / "log",
            environment=ENVIRONMENT,
            before=before,
            python=python,
        )
        wait_for(lambda: self.answers() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def answers(self) -> bool:
        with suppress(OSError):
            return self.get("/v1/health")[0] == 200
        return False

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make one request on a connection of its own; return the status and the JSON or text."""
        with closing(self.connection()) as connection:
            content = None if body is None else json.dumps(body)
            narrowed = path + self.query if path.startswith("/v1/characters") else path
            connection.request(method, narrowed, content, {"Content-Type": "application/json"} if content else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in (answer.headers["Content-Type"] or "") else text

    def get(self, path: str) -> tuple[int, Any]:
        return self.request("GET", path)

    def reload(self, directory: Path | str | None = None, **fields: Any) -> tuple[int, Any]:
        payload = fields if directory is None else {"directory": str(directory), **fields}
        return self.request("POST", "/v1/characters/reload", payload)

    @property
    def generation(self) -> int:
        return int(self.get("/v1/characters/status")[1]["serving"]["generation"])

    def names(self) -> list[str]:
        return [entry["name"] for entry in self.get("/v1/characters")[1]["characters"]]

    def comments(self) -> dict[str, str]:
        return {entry["name"]: entry["comment"] for entry in self.get("/v1/characters")[1]["characters"]}

    def stuck(self) -> int:
        found = re.search(r"^charhost_threads_stuck (\d+)", self.get("/metrics")[1], re.MULTILINE)
        assert found is not None
        return int(found[1])

    def is_quiet(self) -> bool:
        """Return whether no thread of the process used much processor time in a tenth of a second."""
        before = self._ticks()
        time.sleep(0.1)
        return all(ticks - before.get(thread, 0) <= 1 for thread, ticks in self._ticks().items())

    def _ticks(self) -> dict[str, int]:
        found = {}
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # the thread has ended
                fields = (thread / "stat").read_text().rpartition(")")[2].split()
                found[thread.name] = int(fields[11]) + int(fields[12])
        return found

    def assert_well(self, stuck: int = 0) -> None:
        """Check that the server responds, a good reload works, the set is right, and the process is quiet."""
        assert self.get("/v1/health")[0] == 200
        status, report = self.reload("default")
        assert (status, report["outcome"], report["errors"]) == (200, "applied", [])
        assert self.names() == ["Ada", "Zoe"]
        assert report["generation"] == self.generation
        assert wait_for(lambda: self.stuck() == stuck)
        assert wait_for(self.is_quiet)

    def greeting(self) -> bytes:
        """Open a session, and return its first event."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            client.sendall(
                b"GET /v1/realtime?dialect=ga HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            data = b""
            while b"session.created" not in data and (part := client.recv(1 << 16)):
                data += part
        return data

    def end(self, patience: float = PATIENCE) -> int:
        """Send a signal to end the process, and check that it ends."""
        self.process.terminate()
        try:
            return self.process.wait(patience)
        finally:
            self.process.kill()


def wait_for(holds: Callable[[], bool]) -> bool:
    """Wait, with a generous limit, until something holds, and return whether it did."""
    end = time.monotonic() + PATIENCE
    while not (is_so := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return is_so


def set_options(set_name: str, directory: Path) -> list[str]:
    """Return the options of `serve` for a set of that name; if it is not the default one, that has Eve."""
    if set_name == DEFAULT_SET:
        return ["--directory", str(directory)]
    (other := directory.with_name("of-default")).mkdir(exist_ok=True)
    (other / "eve.py").write_text(character("Eve"))
    return ["--directory", str(other), "--set", f"{set_name}={directory}"]


def good_files(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ada.py").write_text(character("Ada"))
    (directory / "zoe.py").write_text(character("Zoe"))
    return directory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingServer]:
    """One server for all rows that leave nothing behind."""
    server = BlockingServer(tmp_path_factory.mktemp("server"))
    yield server
    assert server.end() == 0, server.log


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[BlockingServer]:
    """A server for one test, which may leave it worse than it was."""
    (tmp_path / "home").mkdir()
    server = BlockingServer(tmp_path / "home")
    yield server
    server.process.kill()
    server.process.wait(PATIENCE)


@pytest.fixture
def unknown_home() -> Iterator[Path]:
    """A folder of a user without an entry in passwd, in a place that this user may enter."""
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, 54321, 54321)
    yield folder
    shutil.rmtree(folder)
