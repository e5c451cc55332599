"""Characters are unloaded by real servers: at an edit, at a signal, and at no kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import BlockingServer, wait_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BlockingServer]:
    """A server that watches its files."""
    server = BlockingServer(tmp_path, "--watch", "--shutdown-timeout", "60")
    yield server
    server.process.kill()
    server.process.wait(60)


def write(server: BlockingServer, version: int) -> None:
    """Save a version of Ada that says so when it is unloaded, after its thread has ended."""
    source = (
        "import threading\nEND = threading.Event()\nT = threading.Thread(target=END.wait)\nT.start()\n"
        f"def on_unload():\n    END.set()\n    T.join()\n    print('unloaded {version}', flush=True)\n"
    )
    file = server.directory / "new"
    file.write_text(source + character("Ada", f"Version {version}."))
    file.rename(server.directory / "ada.py")


def test_edits_and_the_end_unload_each_version(server: BlockingServer) -> None:
    """Each saved version is unloaded when the next one serves, and the last one at SIGTERM."""
    for version in range(1, 4):
        generation = server.get("/v1/health")[1]["generation"]
        write(server, version)
        wait_for(lambda before=generation: server.get("/v1/health")[1]["generation"] > before)  # type: ignore[misc]
        wait_for(lambda now=version: server.log.count("unloaded") == now - 1)  # type: ignore[misc]
    assert server.end() == 0
    assert [server.log.count(f"unloaded {version}\n") for version in range(1, 4)] == [1, 1, 1]
    assert "left running" not in server.log


def test_a_killed_server_unloads_nothing(server: BlockingServer) -> None:
    """A process that is killed calls nothing, and its threads do not matter."""
    write(server, 1)
    wait_for(lambda: server.get("/v1/health")[1]["generation"] == 2)
    server.process.kill()
    assert server.process.wait(60) < 0
    assert "unloaded" not in server.log
