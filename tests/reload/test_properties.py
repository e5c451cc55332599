"""Random sequences of edits, reloads and sessions are compared with a model of the current set.

The machine writes two directories, changes another set, reloads with any fields, and opens and closes sessions on a
real application with real sockets. `Model` says what must come of a reload; the comments name the promises that a check
keeps.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from charhost.character.character import Character
from charhost.errors import ReloadRejected
from charhost.reload.request import ReloadRequest
from charhost.reload.store import MOST_SETS
from charhost.report import ReloadReport
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import SETS
from tests.conftest import Client, character
from tests.reload.model import BROKEN, DIRECTORIES, HELPER, NAMES, Entry, Expected, Model
from tests.reload.open_session import Talk
from tests.reload.other_set import ACTIONS, NAME, OtherSet

T = TypeVar("T")

# The tag is imported at the load and again at the call: both must come from the same build.
SHARING = """
from characters._tag import TAG


class PromptGenerator(PromptGenerator):
    def make_system_prompt(self):
        from characters._tag import TAG as LATER
        return f"{super().make_system_prompt()} {TAG} {LATER}"
"""

# Counts the versions that were executed to their end, and notes those that were unloaded.
UNLOADING = """
import versions
VERSION = versions.execute()
def on_unload():
    versions.unloaded.append(VERSION)
"""


class Versions(ModuleType):
    """The module `versions` of the character files: how many were executed, and those that were unloaded."""

    def __init__(self) -> None:
        super().__init__("versions")
        self.executed = 0
        self.unloaded: list[int] = []

    def execute(self) -> int:
        self.executed += 1
        return self.executed


async def serve(app: web.Application) -> Client:
    """Start the application, and return a client of it."""
    client: Client = TestClient(TestServer(app))
    await client.start_server()
    return client


FIELDS = st.fixed_dictionaries(
    {
        "directory": st.sampled_from([None, None, None, *DIRECTORIES, "nowhere"]),
        "scope": st.sampled_from(["all", "changed"]),
        "sessions": st.sampled_from([None, "close", "close_affected", "follow", "keep"]),
        "drain_seconds": st.sampled_from([None, 0, 60]),
        "on_error": st.sampled_from(["exclude", "keep", "abort"]),
        "dry_run": st.sampled_from([False, False, False, True]),
    }
)

CONTENTS = st.one_of(
    st.builds("{} {}".format, st.sampled_from(["plain", "sharing"]), st.sampled_from(["one", "two"])),
    st.sampled_from(sorted(BROKEN)),
)


class Reloads(RuleBasedStateMachine):
    """The actions of authors, operators and clients, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(prefix="charhost-properties-"))
        self.model = Model()
        self.talks: list[Talk] = []
        self.lost: list[Talk] = []  # those whose clients may come back
        self.over: list[Talk] = []
        self.versions = sys.modules["versions"] = Versions()

    @initialize()
    def start(self) -> None:
        """Serve Ada from `here`."""
        for directory in DIRECTORIES:
            (self.root / directory).mkdir()
        self.write("here", "ada.py", "plain one")
        first = {"directory": "here", "on_error": "exclude", "scope": "all", "dry_run": False}
        self.model.take("here", self.model.expect(first))
        self.other = OtherSet(self.root / "games")
        app = create_app(Settings(directory=self.root / "here", set=f"{NAME}={self.root / 'games'}"))
        self.manager = app[SETS].default.manager
        self.client = self.other.client = self.run(serve(app))

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.run(self.client.close())
            assert sorted(self.versions.unloaded) == list(range(1, self.versions.executed + 1))
        self.runner.close()
        shutil.rmtree(self.root)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the event loop until *coroutine* is done."""
        return self.runner.run(coroutine)

    # What authors do

    @rule(directory=st.sampled_from(DIRECTORIES), file=st.sampled_from(sorted(NAMES)), content=CONTENTS)
    def write(self, directory: str, file: str, content: str) -> None:
        """Write a character file, good or bad."""
        kind, _, text = content.partition(" ")
        source = BROKEN[kind] if kind in BROKEN else character(NAMES[file], text)
        good = (SHARING if kind == "sharing" else "") + UNLOADING
        (self.root / directory / file).write_text(source + ("" if kind in BROKEN else good))
        self.model.files[directory][file] = content

    @rule(directory=st.sampled_from(DIRECTORIES), content=st.sampled_from(["good 1", "good 2", "broken"]))
    def write_helper(self, directory: str, content: str) -> None:
        """Write the helper that some characters share."""
        source = f"TAG = {content[-1]}\n" if content != "broken" else "raise ValueError"
        (self.root / directory / HELPER).write_text(source)
        self.model.files[directory][HELPER] = content

    @rule(directory=st.sampled_from(DIRECTORIES), file=st.sampled_from([*sorted(NAMES), HELPER]))
    def delete(self, directory: str, file: str) -> None:
        """Delete a file, if it exists."""
        (self.root / directory / file).unlink(missing_ok=True)
        self.model.files[directory].pop(file, None)

    # What operators do

    @rule(fields=FIELDS)
    def reload(self, fields: dict[str, Any]) -> None:
        """Reload, and compare everything visible with the model."""
        before, expected = self.manager.current, self.model.expect(fields)
        changes = self.model.changes(expected)
        status, report = self.run(self.post(fields))
        assert report.get("outcome") == expected.outcome, report
        assert (status == 200, report.get("code")) == (expected.code is None, expected.code)
        assert [error["file"] for error in report["errors"]] == list(expected.errors)  # promise 4
        assert all(error["error_type"] and error["exception"] for error in report["errors"])
        assert (report["error_count"], report["loaded_count"]) == (len(expected.errors), len(expected.entries))
        assert report["changes"] == changes
        self.check_sessions_in(report, fields, expected)
        if expected.outcome == "applied":
            self.applied(before, report, fields, expected)
        else:
            assert self.manager.current is before  # promise 2, and 18 for what is unchanged

    @rule(data=st.data(), sessions=st.sampled_from([None, "close", "close_affected", "keep"]))
    def roll_back(self, data: st.DataObject, sessions: str | None) -> None:
        """Restore the characters of an earlier generation, whatever is on the disk (promise 32)."""
        kept = [number for number in self.model.past if number > self.model.generation - MOST_SETS]
        generation = data.draw(st.sampled_from(kept), label="generation")
        before, expected = self.manager.current, self.model.expect_back(generation)
        directory, changes = self.model.past[generation][0], self.model.changes(expected)
        fields = {"directory": directory, "sessions": sessions}
        status, report = self.run(self.ask_back({"generation": generation, "sessions": sessions}))
        assert (status, report["outcome"], report["errors"]) == (200, "applied", [])
        assert report["changes"] == changes
        self.check_sessions_in(report, fields, expected)
        self.applied(before, report, fields, expected)

    async def ask_back(self, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Post a rollback."""
        async with self.client.post("/v1/characters/rollback", json=fields) as response:
            return response.status, json.loads(await response.read())

    @precondition(lambda self: not self.talks)
    @rule(group=st.lists(FIELDS, min_size=2, max_size=4))
    def reload_together(self, group: list[dict[str, Any]]) -> None:
        """Start several reloads at once: they run in order, and equal neighbours share one run (promise 16)."""
        reports = self.run(self.ask_together(group))
        for index, (fields, report) in enumerate(zip(group, reports, strict=True)):
            if index and fields == group[index - 1]:
                assert report is reports[index - 1]
                continue
            expected = self.model.expect(fields)
            assert report.outcome == expected.outcome
            if expected.outcome == "applied":
                self.model.take(fields["directory"] or self.model.directory, expected)
            assert report.serving.generation == self.model.generation

    async def ask_together(self, group: list[dict[str, Any]]) -> list[ReloadReport]:
        """Start all reloads before any of them runs, and return their reports, also those of refusals."""
        requests = [fields | {"directory": self.path(fields["directory"])} for fields in group]
        tasks = (self.manager.reload_characters(ReloadRequest(**request)) for request in requests)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [self.report(answer) for answer in answers]

    def report(self, answer: ReloadReport | BaseException) -> ReloadReport:
        """Return the report of a reload, refused or not."""
        if isinstance(answer, ReloadRejected):
            return answer.report
        assert isinstance(answer, ReloadReport), answer
        return answer

    async def post(self, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Post a reload."""
        payload = fields | {"directory": self.path(fields["directory"])}
        async with self.client.post("/v1/characters/reload", json=payload) as response:
            return response.status, json.loads(await response.read())

    def path(self, directory: str | None) -> str | None:
        """Return a directory as a caller writes it."""
        return {None: None, "here": "default"}.get(directory, str(self.root / str(directory)))

    def applied(self, before: Any, report: dict[str, Any], fields: dict[str, Any], expected: Expected) -> None:
        """Check a swap: the generation, the sessions, and the characters that were carried over."""
        policy = fields["sessions"] or "close"
        old, after = self.model.entries, {entry.name: entry for entry in expected.entries}
        self.model.take(fields["directory"] or self.model.directory, expected)
        assert report["generation"] == report["serving"]["generation"] == self.model.generation  # plus one
        for name, entry in after.items():
            assert (self.manager.current[name] is before.get(name)) == (entry is old.get(name))
        for talk in [talk for talk in self.talks if self.is_affected(talk, policy, after)]:
            gone = policy != "close" and talk.entry.name not in after
            if policy == "follow" and not gone:
                self.run(talk.follows())
                continue
            self.talks.remove(talk)
            self.lost.append(talk)
            self.run(talk.is_notified(self.root / self.model.directory, gone=gone))
        if policy in ("close_affected", "follow"):
            for talk in self.talks:
                talk.entry, talk.generation = after[talk.entry.name], self.model.generation

    def is_affected(self, talk: Talk, policy: str, after: dict[str, Entry]) -> bool:
        """Return whether a policy affects a session (promise 19)."""
        return policy == "close" or (policy != "keep" and self.model.differs(talk.entry, after))

    def check_sessions_in(self, report: dict[str, Any], fields: dict[str, Any], expected: Expected) -> None:
        """Check that the report counts the affected sessions (promise 19)."""
        policy, after = fields["sessions"] or "close", {entry.name: entry for entry in expected.entries}
        touched = [talk for talk in self.talks if self.is_affected(talk, policy, after)]
        affected = len(touched) if expected.outcome in ("applied", "valid") else 0
        assert report["sessions"] == {"policy": policy, "total": len(self.talks), "affected": affected}

    @rule(action=st.sampled_from(ACTIONS), text=st.sampled_from(["one", "two"]))
    def change_the_other_set(self, action: str, text: str) -> None:
        """Edit, reload, roll back, add or remove another set: this one keeps its very characters."""
        before = self.manager.current
        self.run(self.other.act(action, text))
        assert self.manager.current is before

    @invariant()
    def other_set_is_undisturbed(self) -> None:
        """Check that nothing that was done to this set is seen in the other."""
        if hasattr(self, "client"):
            self.run(self.other.is_undisturbed())

    # What clients do

    @precondition(lambda self: len(self.talks) < 6)
    @rule(data=st.data(), named=st.booleans())
    def connect(self, data: st.DataObject, named: bool) -> None:
        """Open a session with a named character, or with the default one."""
        names = list(self.model.entries)
        name = data.draw(st.sampled_from(names), label="character") if named else names[0]
        self.talks.append(self.run(self.open({"model": name} if named else {"dialect": "ga"}, name)))

    async def open(self, query: dict[str, str], name: str) -> Talk:
        """Connect and wait for `session.created`."""
        socket = await self.client.ws_connect("/v1/realtime", params=query)
        created = await socket.receive_json(timeout=60)
        assert (created["type"], created["session"]["model"]) == ("session.created", name)
        return Talk(created["session"]["id"], socket, self.model.entries[name], self.model.generation)

    @precondition(lambda self: bool(self.lost) and len(self.talks) < 6)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """Resume a lost session, with the character of today, or be refused while there is none (promise 30)."""
        talk = data.draw(st.sampled_from(self.lost), label="lost session")
        if talk.entry.name not in self.model.entries:
            self.run(self.is_refused(talk, "character_removed"))
            return
        self.lost.remove(talk)
        found = self.run(self.open({"resume": talk.id}, talk.entry.name))
        assert found.id == talk.id
        self.talks.append(found)

    @precondition(lambda self: bool(self.over))
    @rule(data=st.data())
    def come_back_in_vain(self, data: st.DataObject) -> None:
        """Try to resume a session that the client has ended (promise 30)."""
        talk = data.draw(st.sampled_from(self.over), label="ended session")
        self.run(self.is_refused(talk, "session_not_found"))

    async def is_refused(self, talk: Talk, code: str) -> None:
        """Check that a resume gets the error *code* and is closed."""
        async with self.client.ws_connect("/v1/realtime", params={"resume": talk.id}) as socket:
            assert (await socket.receive_json(timeout=60))["error"]["code"] == code
            assert (await socket.receive(timeout=60)).data == 4004

    @precondition(lambda self: bool(self.talks))
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        """Close one session from the client."""
        index = data.draw(st.integers(0, len(self.talks) - 1), label="session")
        self.over.append(self.talks.pop(index))
        self.run(self.leave(self.over[-1]))

    @precondition(lambda self: bool(self.talks))
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Abort the connection of one client."""
        index = data.draw(st.integers(0, len(self.talks) - 1), label="session")
        self.lost.append(self.talks.pop(index))
        self.run(self.cut(self.lost[-1]))

    async def cut(self, talk: Talk) -> None:
        """Abort a connection, as a network does."""
        connection: Any = talk.socket._response.connection
        connection.transport.abort()

    async def leave(self, talk: Talk) -> None:
        """Close a session and wait until the server has noticed."""
        await talk.socket.close()

    # What is true after every step

    @invariant()
    def all_equals_the_model(self) -> None:
        """Compare everything visible with the model, as one line in a failure's sequence of steps."""
        self.the_list_is_the_model()
        self.every_prompt_is_that_of_its_build()
        self.sessions_go_on()
        self.run(self.what_nothing_holds_is_unloaded())

    def the_list_is_the_model(self) -> None:
        """Check that the list shows exactly the set of the model, and is never empty (promises 1, 3, 6 and 11)."""
        listed = self.run(self.get("/v1/characters"))
        assert listed["characters"]
        assert listed["directory"] == str(self.root / self.model.directory)
        assert listed["generation"] == self.model.generation
        shown = {entry["name"]: (entry["file"], entry["generation"]) for entry in listed["characters"]}
        assert shown == {name: (entry.file, entry.generation) for name, entry in self.model.entries.items()}

    async def get(self, path: str) -> Any:
        """Return the JSON document at *path*."""
        async with self.client.get(path) as response:
            assert response.status == 200
            return json.loads(await response.read())

    def every_prompt_is_that_of_its_build(self) -> None:
        """Check that each prompt is that of the loaded bytes, late imports included (promises 6 and 10)."""
        prompts = {name: prompt_of(found) for name, found in self.manager.current.items()}
        assert prompts == {name: entry.prompt for name, entry in self.model.entries.items()}

    def sessions_go_on(self) -> None:
        """Check that each session of the model is open, received nothing, and has its generation (promises 8, 9)."""
        for talk in self.talks:
            self.run(talk.is_undisturbed())
        self.run(self.count_sessions())

    async def what_nothing_holds_is_unloaded(self) -> None:
        """Check that no version of the set is unloaded, and without sessions every other one is."""
        serving = {self.version_of(found) for found in self.manager.current.values()}
        assert serving.isdisjoint(self.versions.unloaded)
        executed = set(range(1, self.versions.executed + 1))
        async with asyncio.timeout(60):
            while not self.talks and executed - set(self.versions.unloaded) != serving:
                await asyncio.sleep(0.001)

    def version_of(self, found: Character) -> int:
        """Return the number of the version that a character is of."""
        version: int = found.prompt_generator.make_system_prompt.__globals__["VERSION"]
        return version

    async def count_sessions(self) -> None:
        """Compare the server's count with the model's; the server notices closed sessions a moment later."""
        expected: dict[int, int] = {}
        for talk in self.talks:
            expected[talk.generation] = expected.get(talk.generation, 0) + 1
        async with asyncio.timeout(60):
            while self.counts(await self.get("/v1/characters/status")) != expected:
                await asyncio.sleep(0.001)

    def counts(self, status: dict[str, Any]) -> dict[int, int]:
        """Return the number of sessions on each generation."""
        return {entry["generation"]: entry["sessions"] for entry in status["generations"]}


def prompt_of(found: Character) -> str:
    """Return the prompt of a character."""
    prompt: str = found.prompt_generator(found.instructions).make_system_prompt()
    return prompt


_DETERMINED = settings(
    max_examples=5,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


class TestReloads(Reloads.TestCase):  # type: ignore[misc, valid-type]
    """The set, the reports and the sessions equal those of the model, in any order of actions."""

    settings = _DETERMINED


@pytest.mark.slow
class TestMoreReloads(Reloads.TestCase):  # type: ignore[misc, valid-type]
    """The same in more orders."""

    settings = settings(_DETERMINED, max_examples=30)
