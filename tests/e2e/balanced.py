"""A server by itself, or a fleet of three behind haproxy, which sends each client to the next one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest

from tests.e2e.conftest import PATIENCE, BlockingServer, free_port, good_files, wait_for
from tests.e2e.fleet_processes import FleetProcesses

_CONFIGURATION = """
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  retries 3
  option redispatch
frontend front
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  balance roundrobin
  option httpchk GET /v1/ready
{servers}
"""

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
# In the mode `tcp` each connection goes to the next node, in the mode `http` each request.
MODES = ("tcp", "http")
SERVERS = ("alone", *(pytest.param(mode, marks=(pytest.mark.slow, needs_haproxy)) for mode in MODES))


def balance(home: Path, mode: str, nodes: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start haproxy in front of the *nodes*, which have their address by name; return it and its own address."""
    port = free_port()
    lines = [_line(name, urlsplit(url)) for name, url in nodes.items()]
    (home / "haproxy.cfg").write_text(_CONFIGURATION.format(mode=mode, port=port, servers="\n".join(lines)))
    return subprocess.Popen(["haproxy", "-db", "-q", "-f", str(home / "haproxy.cfg")]), f"http://127.0.0.1:{port}"


def _line(name: str, url: SplitResult) -> str:
    tls = " check-ssl verify none" if url.scheme == "https" else ""
    return f"  server {name} {url.netloc} check inter 200{tls}"


class BalancedFleet(BlockingServer):
    """A fleet that is used as one server is, at the address of its load balancer; its nodes share a directory."""

    def __init__(self, home: Path, mode: str) -> None:
        self.home = home
        self.directory = good_files(home / "good")
        self.query = ""
        self.fleet = FleetProcesses(home, self.directory)
        urls = {name: server.url for name, server in self.fleet.servers.items()}
        self.process, url = balance(home, mode, urls)
        self.port = int(url.rpartition(":")[2])
        wait_for(self.answers)

    @property
    def log(self) -> str:
        return "\n".join(server.log for server in self.fleet.servers.values())

    def end(self, patience: float = PATIENCE) -> int:
        self.process.kill()
        self.process.wait(patience)
        statuses = [server.end(patience) for server in self.fleet.servers.values()]
        self.fleet.close()
        return max(statuses)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingServer]:
    """A server by itself or a fleet, for all tests that leave nothing behind."""
    home = tmp_path_factory.mktemp("server")
    server = BlockingServer(home) if request.param == "alone" else BalancedFleet(home, request.param)
    yield server
    assert server.end() == 0, server.log
