"""Threads of a server: code that blocks holds a few of them, and where none can be started the server serves on."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from charhost.threads.warm_threads import IDLE_SECONDS
from tests.conftest import character
from tests.e2e.conftest import BlockingServer, wait_for

BLOCKS = """
import threading


class PromptGenerator(PromptGenerator):
    def make_system_prompt(self):
        threading.Event().wait()
"""
USER = ("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups")
REASON = "not run: 8 earlier calls have not ended since their deadlines"


def ask(server: BlockingServer, name: str) -> tuple[int, Any]:
    body = {"model": name, "messages": [{"role": "user", "content": "Hello"}]}
    return server.request("POST", "/v1/chat/completions", body)


@pytest.fixture
def blocked(tmp_path: Path) -> Iterator[BlockingServer]:
    """A server with Bob, whose prompt never comes."""
    server = BlockingServer(tmp_path, "--prompt-deadline", "1")
    (server.directory / "bob.py").write_text(character("Bob") + BLOCKS)
    assert server.reload("default")[0] == 200
    yield server
    server.process.kill()
    server.process.wait()


def test_a_character_that_blocks_has_eight_threads(blocked: BlockingServer) -> None:
    """Then chats with it are refused at once, a reload names the reason, and every other character talks."""
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: ask(blocked, "Bob"), range(20)))
    assert {status for status, _ in answers} == {500}
    assert sum(REASON in answer["error"]["message"] for _, answer in answers) == 12
    assert blocked.stuck() == 8
    assert REASON in ask(blocked, "Bob")[1]["error"]["message"]
    status, report = blocked.reload("default")
    assert (status, [error["error_type"] for error in report["errors"]]) == (200, ["ThreadsExhausted"])
    assert report["errors"][0]["message"].startswith(REASON)
    assert ask(blocked, "Ada")[0] == 200
    assert blocked.end() == 0
    assert "Traceback" not in blocked.log


def test_a_mended_file_of_a_character_that_blocked_is_loaded(blocked: BlockingServer) -> None:
    """The threads that are stuck are those of the version that blocks."""
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: ask(blocked, "Bob"), range(8)))
    (blocked.directory / "bob.py").write_text(character("Bob"))
    assert blocked.reload("default", scope="changed")[1]["errors"] == []
    assert ask(blocked, "Bob")[0] == 200


@pytest.fixture
def limited(unknown_home: Path) -> Iterator[BlockingServer]:
    """A server of a user whose threads are limited, as root's are not."""
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    server = BlockingServer(unknown_home, "--watch", before=(*USER, *reads))
    yield server
    server.process.kill()
    server.process.wait()


def limit_threads(server: BlockingServer, most: str) -> None:
    """Set the soft limit, as the user of the server."""
    subprocess.run([*USER, "prlimit", f"--pid={server.process.pid}", f"--nproc={most}:"], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="root and util-linux are needed")
def test_a_server_that_cannot_start_threads_serves_on(limited: BlockingServer) -> None:
    """Chats and reloads fail with the reason while the limit holds, change nothing, and work again afterwards."""
    limit_threads(limited, "1")
    answers: list[Any] = []

    def is_refused() -> bool:
        time.sleep(2 * IDLE_SECONDS)  # until then, a thread that is idle does the work
        status, answer = ask(limited, "Ada")
        answers.append(answer)
        return status == 500

    wait_for(is_refused)
    assert "can't start new thread" in answers[-1]["error"]["message"]
    status, problem = limited.reload("default")
    assert (status, "can't start new thread" in problem["detail"]) == (504, True)
    assert (limited.names(), limited.get("/v1/health")[0]) == (["Ada", "Zoe"], 200)
    assert limited.log.count("Traceback") == 0, limited.log
    limit_threads(limited, "8192")
    assert ask(limited, "Ada")[0] == 200
    limited.assert_well()
    (limited.directory / "ada.py").write_text(character("Ada").replace('"comment": None', '"comment": "saved"'))
    wait_for(lambda: limited.comments()["Ada"] == "saved")
    assert limited.comments()["Ada"] == "saved"
    assert limited.end() == 0
