"""Real nats-servers, as processes of their own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

from charhost.fleet.engine.nats import NatsConnection
from scripts.benchmarks.processes import free_port

PROGRAM = Path(sysconfig.get_path("scripts")) / "nats-server"
PATIENCE = 60.0


@dataclass
class NatsServer:
    """A server on a free port, with its store below *directory*; `more` is added to its configuration."""

    directory: Path
    more: str = ""
    # Whether what is acknowledged is on the disk, as an operator needs it.
    syncs: bool = False
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def url_of(self, user: str) -> str:
        """Return the address with the name of a user, whose password is the same."""
        return self.url.replace("//", f"//{user}:{user}@")

    def start(self) -> None:
        """Start it, again on the same port, and return once it listens."""
        configuration = self.directory / "nats.conf"
        store = json.dumps(str(self.directory / "store"))
        sync = "always" if self.syncs else "'2m'"
        configuration.write_text(
            f"listen: '127.0.0.1:{self.port}'\nports_file_dir: {json.dumps(str(self.directory))}\n"
            f"jetstream {{ store_dir: {store}, sync_interval: {sync} }}\n{self.more}\n"
        )
        command = [str(PROGRAM), "--config", str(configuration), "--log", str(self.directory / "nats.log")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._wait()

    def kill(self) -> None:
        """End it as a machine that loses its power."""
        self.process.kill()
        self.process.wait()

    def lose(self) -> None:
        """Empty its disk."""
        shutil.rmtree(self.directory / "store")

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _wait(self) -> None:
        ports = self.directory / f"nats-server_{self.process.pid}.ports"
        until = time.monotonic() + PATIENCE
        while not ports.exists() or not ports.read_text().endswith("}"):
            assert self.process.poll() is None, (self.directory / "nats.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.01)


def cluster(directory: Path, more: str = "", *, syncs: bool = False) -> list[NatsServer]:
    """Start three servers that replicate to each other; *more* is added to the configuration of each."""
    ports = [free_port() for _ in range(3)]
    routes = json.dumps([f"nats://127.0.0.1:{port}" for port in ports])
    return [
        NatsServer(
            directory / f"s{port}",
            f"server_name: s{port}\ncluster {{ name: fleet, listen: '127.0.0.1:{port}', routes: {routes} }}\n{more}",
            syncs,
        )
        for port in ports
    ]


async def leader(servers: list[NatsServer], stream: str) -> NatsServer:
    """Return the server of a cluster that leads a stream."""
    running = [server for server in servers if server.process.poll() is None]
    connection = NatsConnection([server.url for server in running])
    await connection.start()
    try:
        response = await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"", PATIENCE)
    finally:
        await connection.close()
    name = json.loads(response.data)["cluster"]["leader"]
    return next(server for server in servers if server.directory.name == name)
