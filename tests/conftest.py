"""Fixtures that most tests use."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.http import event_stream
from tests.reload.helpers import Gate

# Also where the environment keeps Python from writing bytecode: to compile all tests takes more than to collect them.
sys.dont_write_bytecode = False

# Tests never meet a model's server that happens to run on this machine.
os.environ["CHARHOST_LLM_URL"] = "none"

# On a busy machine, code of a character that a test holds for a moment takes longer than a server should wait for it.
os.environ["CHARHOST_FILE_DEADLINE"] = os.environ["CHARHOST_PROMPT_DEADLINE"] = "60"

# On a busy machine an example may take any time, and so may making it.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

# On a busy machine a quick failure takes seconds, too: it has its own status as long as its stream has not begun.
STREAM_BEGINS_AFTER = event_stream.BEGIN_AFTER
event_stream.BEGIN_AFTER = 600.0

Client = TestClient[web.Request, web.Application]

CHARACTER = """
CHARACTER_NAME = {name}
VOICE_SOURCE = {{"source_type": "file", "path_on_server": "voices/{stem}.wav"}}
INSTRUCTIONS = {{"text": {text}}}
METADATA = {{"good": True, "comment": None}}


class PromptGenerator:
    def __init__(self, instructions):
        self.instructions = instructions

    def make_system_prompt(self):
        return self.instructions["text"]
"""


@pytest.fixture(autouse=True)
def renamed_past() -> None:
    """Give threads in which code of earlier tests is stuck another name: a test counts its own."""
    for thread in threading.enumerate():
        if thread.name.startswith("charhost-"):
            thread.name = f"earlier {thread.name}"


@pytest.fixture(scope="module", autouse=True)
def frozen_past() -> Iterator[None]:
    """Keep what was imported, and what earlier files have left, out of every collection after a reload.

    The server freezes its start in the same way. A process that has run a thousand tests is no place to reload in
    otherwise: nearly all of the time would be spent on walking through what they have left.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        # The first application that ends would give all of it back to the collector.
        patch.setattr(gc, "freeze", lambda: None)
        patch.setattr(gc, "unfreeze", lambda: None)
        yield


def character(name: str = "Ada", text: str = "Be kind.") -> str:
    """Return the source of a small character that loads."""
    return CHARACTER.format(name=json.dumps(name, ensure_ascii=False), stem=name.lower(), text=json.dumps(text))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with one character, Ada in ada.py."""
    directory = tmp_path / "characters"
    directory.mkdir()
    (directory / "ada.py").write_text(character("Ada"))
    return directory


@pytest.fixture
def write(directory: Path) -> Callable[[str, str], Path]:
    """Write a file below the directory, with the folders above it: `write("resources/x.py", "Y = 1")`."""

    def write(path: str, source: str) -> Path:
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        return file

    return write


@pytest.fixture
def settings(directory: Path) -> Settings:
    """Settings that serve the directory."""
    return Settings(directory=directory)


@pytest.fixture
async def manager(settings: Settings) -> CharacterManager:
    """A manager that has loaded the directory."""
    manager = CharacterManager(settings, Metrics())
    await manager.reload_characters(trigger="startup")
    return manager


@pytest.fixture
async def client(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> Client:
    """A client of a running application that serves the directory."""
    return await aiohttp_client(create_app(settings))


def prompt(manager: CharacterManager, name: str = "Ada") -> Any:
    """Return the prompt of a character of the current set."""
    found = manager.current[name]
    return found.prompt_generator(found.instructions).make_system_prompt()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate that opens at the end of the test at the latest."""
    gate = Gate()
    monkeypatch.setitem(sys.modules, "gate", gate)
    yield gate
    gate.opened.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    extensions = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *extensions], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"
