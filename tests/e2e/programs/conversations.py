"""The conversations that each program has, whatever server it talks to."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import character
from tests.e2e.balanced import BalancedFleet
from tests.e2e.conftest import BlockingServer
from tests.e2e.programs.kinds import KINDS, Kind

ROOT = Path(__file__).parents[3]

LIMIT = 300.0  # seconds for a step, of which the first includes the imports

# The score is on the instance, so that it lasts only as long as the conversation does.
ADA = """
TOOLS = [{{"type": "function", "function": {{"name": "look", "parameters": {{"type": "object", "properties": {{}}}}}}}}]


class PromptGenerator(PromptGenerator):
    looks = 0

    def handle_tool_call(self, name, arguments):
        self.looks += 1
        return f"{place} seen {{self.looks}} times"
"""


class Program:
    """A running program, which takes steps."""

    def __init__(self, kind: Kind, url: str, home: Path) -> None:
        self.kind = kind
        self._errors = home / "errors"
        # No key of this machine's user may reach a program.
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                kind.command(url),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                text=True,
                env=kept | {"HOME": str(home), "OPENAI_API_KEY": "unused"},
            )

    def run(self, step: str, **arguments: object) -> Any:
        """Return what a step returned."""
        found = self._line(step, arguments)
        assert "result" in found, f"{found['error']}\n{self._errors.read_text()[-3000:]}"
        return found["result"]

    def error(self, step: str, **arguments: object) -> str:
        """Return the error of a step that fails."""
        return str(self._line(step, arguments)["error"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self, step: str, arguments: dict[str, object]) -> Any:
        if step in self.kind.lacks:
            pytest.skip(f"{self.kind.name} has no {step}")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"step": step, **arguments}) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], LIMIT)[0]:
            pytest.fail(f"{step} is not done\n{self._errors.read_text()[-3000:]}")
        line = self._process.stdout.readline()
        assert line, self._errors.read_text()[-3000:]
        return json.loads(line)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.label)
def running(
    request: pytest.FixtureRequest, server: BlockingServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """Each program once for all tests."""
    program = Program(request.param, server.url, tmp_path_factory.mktemp("home"))
    yield program
    program.close()


@pytest.fixture
def program(running: Program, server: BlockingServer) -> Program:
    """The program at the beginning of a conversation, with Ada in the garden."""
    move(server, "a garden")
    running.run("begin")
    return running


def move(server: BlockingServer, place: str, **fields: str) -> None:
    """Reload Ada at a place."""
    (server.directory / "ada.py").write_text(character("Ada") + ADA.format(place=place))
    assert server.reload(**fields)[0] == 200


class Conversations:
    """Tests of a `program` and the `server` of its module."""

    def test_lists_the_characters(self, program: Program) -> None:
        """The list of models is the list of characters."""
        assert [name.removeprefix("openai/") for name in program.run("models")] == ["Ada", "Zoe"]

    def test_talks(self, program: Program) -> None:
        """Two turns have different responses of the offline model, which knows what was said before."""
        first = program.run("say", text="Hello!")
        assert first
        assert program.run("say", text="My name is Kim.") not in ("", first)

    def test_streams(self, program: Program) -> None:
        """A streamed response comes in pieces, and the conversation goes on after it."""
        assert len(program.run("stream", text="Hello!")) > 1
        assert program.run("say", text="Who are you?")

    def test_tool_of_the_character(self, program: Program, server: BlockingServer) -> None:
        """The server runs the character's tool, and its score lasts as long as the conversation, unless that moves."""
        again = "[12]" if isinstance(server, BalancedFleet) else "2"
        # Two conversations that begin with the same words go on with no score of either.
        program.run("say", text=f"Hello from {program.kind.label}!")
        assert "a garden seen 1 times" in program.run("say", text="/look")
        assert re.search(f"a garden seen {again} times", "".join(program.run("stream", text="/look")))
        program.run("begin")
        program.run("say", text=f"Hello again from {program.kind.label}!")
        assert "a garden seen 1 times" in program.run("say", text="/look")

    def test_tool_of_the_client(self, program: Program) -> None:
        """The program runs its own tool, and the character receives the result."""
        assert "sunny in Rome" in program.run("say", text='/get_weather {"city": "Rome"}')

    def test_reload_in_the_middle(self, program: Program, server: BlockingServer) -> None:
        """A conversation goes on with the new version of its character."""
        program.run("say", text="Hello!")
        assert "a garden" in program.run("say", text="/look")
        # Pipecat ends with its connection; all others connect again by themselves, if they have one.
        move(server, "a meadow", **({"sessions": "follow"} if program.kind.name == "with_pipecat" else {}))
        assert "a meadow" in program.run("say", text="/look")

    def test_output_of_a_type(self, program: Program) -> None:
        """A program that requires its own tool gets it called, although the character has one too."""
        assert program.run("structured", text="/look") in ({"city": "Rome"}, {})

    def test_unknown_character(self, program: Program) -> None:
        """The error says that there is no such character."""
        assert "does not exist" in program.error("say", text="Hello!", model="Nobody")

    def test_character_of_another_set(self, program: Program, server: BlockingServer, tmp_path: Path) -> None:
        """The name of the set in front of the model's name reaches its character."""
        (tmp_path / "charlotte.py").write_text(character("Charlotte") + ADA.format(place="a maze"))
        assert server.request("PUT", "/v1/sets/gaming", {"directory": str(tmp_path)})[0] == 201
        try:
            assert "a maze" in program.run("say", text="/look", model="gaming/Charlotte")
        finally:
            assert server.request("DELETE", "/v1/sets/gaming")[0] == 200
