"""A NATS server, and the servers of one fleet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.conftest import ENVIRONMENT, BlockingServer, wait_for
from tests.fleet.nats_server import NatsServer


class FleetProcesses:
    """The NATS server and the servers of one fleet, each with a directory of its own, or all with the same."""

    def __init__(self, home: Path, directory: Path | None = None, names: Sequence[str] = ("n1", "n2", "n3")) -> None:
        self.home = home
        self.directory = directory
        self.nats = NatsServer(home / "nats")
        (home / "key").write_text("the key of a fleet in a test\n")
        self.options = ("--fleet", self.nats.url, "--fleet-key-file", str(home / "key"), "--fleet-deadline", "20")
        self.set_up = self.command("fleet", "setup", self.nats.url)
        self.servers: dict[str, BlockingServer] = {}
        for name in names:
            self.start(name)

    def start(self, name: str, *options: str, before: Sequence[str] = ()) -> BlockingServer:
        home = self.home / name
        home.mkdir(exist_ok=True)
        port = self.servers[name].port if name in self.servers else None
        options = (*self.options, "--fleet-node", name, *options)
        self.servers[name] = BlockingServer(home, *options, before=before, port=port, directory=self.directory)
        return self.servers[name]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = ENVIRONMENT | {"CHARHOST_FLEET_KEY_FILE": str(self.home / "key")}
        command = [sys.executable, "-m", "charhost", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def served(self) -> set[tuple[int, str]]:
        """Return the generation and the revision of each server."""
        found = [server.get("/v1/characters")[1] for server in self.servers.values()]
        return {(one["generation"], one["revision"]) for one in found}

    def equal(self) -> None:
        wait_for(lambda: len(self.served()) == 1)
        assert len(self.served()) == 1

    def close(self) -> None:
        for server in self.servers.values():
            server.process.kill()
            server.process.wait()
        self.nats.kill()
