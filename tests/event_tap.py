"""What servers send to their sessions, whatever the client is, checked at the end of each test.

A server within the test is tapped by the fixture, one in a process of its own by `tests.tapped`, which runs it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.tapped import FOLDER, tap

if TYPE_CHECKING:
    from tests.web.realtime.event_grammar import Grammar


class Sent(NamedTuple):
    """A frame, when it was sent, and the process and the number of the session to which."""

    at: int
    session: tuple[str, str]
    frame: str


class Recorded:
    """The frames that servers in processes of their own have written into a folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        os.chmod(self._folder.name, 0o777)  # servers of other users, too
        self.environment = {FOLDER: self._folder.name}
        self._read: dict[Path, int] = {}

    def news(self) -> list[Sent]:
        """Return what was written since the last call, in its order."""
        return sorted(sent for file in Path(self._folder.name).iterdir() for sent in self._news(file))

    def _news(self, file: Path) -> Iterator[Sent]:
        with file.open("rb") as opened:
            opened.seek(self._read.get(file, 0))
            lines = opened.read().rpartition(b"\n")[0]
        self._read[file] = self._read.get(file, 0) + len(lines) + bool(lines)
        for line in lines.decode().splitlines():
            at, number, frame = line.split(" ", 2)
            yield Sent(int(at), (file.name, number), frame)


RECORDED = Recorded()


class Check:
    """Checks the events of sessions by the grammar of their dialect, and the strict models of its SDK."""

    def __init__(self) -> None:
        self._grammars: dict[tuple[str, str], Grammar | None] = {}  # None in unmute's dialect
        self._resumable: dict[str, Grammar] = {}

    def feed(self, frames: Iterable[Sent]) -> None:
        # Only here: they import the SDKs.
        from tests.web.realtime.unmute_events import TABLE

        for sent in frames:
            if sent.session not in self._grammars:
                self._grammars[sent.session] = self._begun(json.loads(sent.frame))
            grammar = self._grammars[sent.session]
            if grammar is None:
                TABLE.validate_json(sent.frame)
            else:
                grammar.feed(json.loads(sent.frame))

    def _begun(self, event: dict[str, Any]) -> Grammar | None:
        from tests.web.realtime.event_grammar import Grammar

        if event["type"] != "session.created":
            return None
        session = event["session"]
        grammar = Grammar("ga" if session.get("type") == "realtime" else "beta")
        if session["id"] in self._resumable:
            grammar.resume(self._resumable[session["id"]])
        self._resumable[session["id"]] = grammar
        return grammar


_OF_PROCESSES = Check()  # which serve several tests


@pytest.fixture(autouse=True)
def event_tap() -> Iterator[None]:
    """Check each event that a server sends to a session: at the end of the test, and in its order."""
    frames: list[Sent] = []

    def note(number: int, frame: str) -> None:
        frames.append(Sent(len(frames), ("", str(number)), frame))

    with pytest.MonkeyPatch.context() as patch:
        tap(patch.setattr, note)
        yield
    Check().feed(frames)
    _OF_PROCESSES.feed(RECORDED.news())
