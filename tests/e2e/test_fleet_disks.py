"""Nodes of a fleet whose disks differ: data files do not travel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import BlockingServer
from tests.e2e.fleet_processes import FleetProcesses
from tests.e2e.helpers import may

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may("mount -t tmpfs tmpfs /mnt", "-m"), reason="no file system can be mounted here"),
]

READER = f"""import os
LINES = open(os.path.join(os.path.dirname(__file__), "data", "lines.txt")).read()
{character("Bob")}
"""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[FleetProcesses]:
    """Nodes that read one directory, of whose folder `data` n2 has an empty one of its own."""
    directory = tmp_path / "characters"
    (directory / "data").mkdir(parents=True)
    (directory / "ada.py").write_text(character("Ada"))
    made = FleetProcesses(tmp_path, directory, names=())
    try:
        made.start("n1")
        mount = 'mount -t tmpfs none "$0" && exec "$@"'
        made.start("n2", before=("unshare", "-m", "sh", "-c", mount, str(directory / "data")))
        made.equal()
        yield made
    finally:
        made.close()


def write_at(server: BlockingServer, file: Path, text: str) -> None:
    """Write a file on the disk of a node."""
    command = ("nsenter", "-t", str(server.process.pid), "-m", "sh", "-c", 'cat > "$0"', str(file))
    subprocess.run(command, input=text, text=True, check=True)


def test_a_node_without_a_data_file_refuses_the_set(nodes: FleetProcesses) -> None:
    """No node serves it, and the refusal names the node and the data file, until the file is there."""
    n1, n2 = nodes.servers["n1"], nodes.servers["n2"]
    before, lines = nodes.served(), n1.directory / "data" / "lines.txt"
    lines.write_text("Once upon a time.")
    (n1.directory / "bob.py").write_text(READER)
    status, refusal = n1.reload()
    assert (status, refusal["code"]) == (422, "fleet_refused")
    assert f"n2: bob.py opens {lines} while it is loaded, and there is no such file" in refusal["detail"]
    assert nodes.served() == before
    write_at(n2, lines, "Of another disk.")
    status, report = n1.reload()
    assert (status, report["fleet"]["outcome"]) == (200, "committed")
    assert [server.names() for server in nodes.servers.values()] == [["Ada", "Bob"]] * 2


def test_a_node_that_joins_without_a_data_file_is_not_ready(nodes: FleetProcesses) -> None:
    """It serves nothing, shows the file that it lacks, and follows once it has it."""
    n1 = nodes.servers["n1"]
    assert nodes.servers["n2"].end() == 0
    lines = n1.directory / "data" / "lines.txt"
    lines.write_text("Once upon a time.")
    (n1.directory / "bob.py").write_text(READER)
    assert n1.reload()[0] == 200
    mount = 'mount -t tmpfs none "$0" && exec "$@"'
    n2 = nodes.start("n2", before=("unshare", "-m", "sh", "-c", mount, str(n1.directory / "data")))
    assert n2.get("/v1/ready")[0] == 503
    shown = nodes.command("fleet", "--url", n1.url)
    assert (shown.returncode, str(lines) in shown.stdout) == (1, True), shown.stdout
