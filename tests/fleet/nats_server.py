"""Real nats-servers, as processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

from charhost.fleet.streams import Streams

# The fleet whose node has no more than the grants of `fleet setup`; all others are used without a name.
FLEET = "granted"
NODE = "node"
PROGRAM = Path(sysconfig.get_path("scripts")) / "nats-server"
PATIENCE = 60.0


def users() -> str:
    """Return the users of a server: an administrator without a password, and a node."""
    node = {"user": NODE, "password": NODE, "permissions": Streams(FLEET).grants()}
    everybody = [{"user": "admin", "password": "admin"}, node]
    return f"authorization {{ users = {json.dumps(everybody)} }}\nno_auth_user: admin\n"


@dataclass
class NatsServer:
    """A server on a free port, with its store below *directory*; `more` is added to its configuration."""

    directory: Path
    more: str = ""
    port: int = -1
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
        configuration.write_text(
            f"listen: '127.0.0.1:{self.port}'\nports_file_dir: {json.dumps(str(self.directory))}\n"
            f"jetstream {{ store_dir: {store} }}\n{self.more}\n"
        )
        command = [str(PROGRAM), "--config", str(configuration), "--log", str(self.directory / "nats.log")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.port = self._port()

    def kill(self) -> None:
        """End it as a machine that loses its power."""
        self.process.kill()
        self.process.wait()

    def lose(self) -> None:
        """Empty its disk."""
        shutil.rmtree(self.directory / "store")

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def _port(self) -> int:
        ports = self.directory / f"nats-server_{self.process.pid}.ports"
        until = time.monotonic() + PATIENCE
        while not ports.exists() or not ports.read_text().endswith("}"):
            assert self.process.poll() is None, (self.directory / "nats.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.01)
        (url,) = json.loads(ports.read_text())["nats"]
        return int(url.rpartition(":")[2])


def cluster(directory: Path) -> list[NatsServer]:
    """Start three servers that replicate to each other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    routes = json.dumps([f"nats://127.0.0.1:{port}" for port in ports])
    return [
        NatsServer(
            directory / f"s{port}",
            f"server_name: s{port}\ncluster {{ name: fleet, listen: '127.0.0.1:{port}', routes: {routes} }}\n{users()}",
        )
        for port in ports
    ]
