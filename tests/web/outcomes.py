"""The table of outcomes of a reload, and the check of one that every channel shares."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from charhost.character.character import CharacterSet
from charhost.reload.loader import Loader
from charhost.reload.manager import CharacterManager
from charhost.report import DEFAULT_SET, ReloadReport
from charhost.web.keys import METRICS, SETS
from tests.conftest import Client, character

RELOAD = "/v1/characters/reload"
ROLLBACK = "/v1/characters/rollback"
UNTOUCHED = -1.0

World = Callable[["Scene"], None]


@dataclass
class Scene:
    """The files, the settings and the patches that a row may prepare."""

    directory: Path
    monkeypatch: pytest.MonkeyPatch
    settings: dict[str, Any]


def two(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text(character("Bob"))


def as_it_was(scene: Scene) -> None:
    """Nothing has changed since the start."""


def one_broken(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text("def broken(:")


def all_broken(scene: Scene) -> None:
    (scene.directory / "ada.py").write_text("raise SystemExit")


def empty(scene: Scene) -> None:
    (scene.directory / "ada.py").unlink()


def missing(scene: Scene) -> None:
    empty(scene)
    scene.directory.rmdir()


def a_file(scene: Scene) -> None:
    missing(scene)
    scene.directory.write_text("")


def unreadable(scene: Scene) -> None:
    scene.directory.chmod(0o300)
    if os.access(scene.directory, os.R_OK):  # root may read everything
        list_folder = os.scandir

        def scandir(path: str) -> Any:
            if path == str(scene.directory):
                raise PermissionError(13, "Permission denied", path)
            return list_folder(path)

        scene.monkeypatch.setattr(os, "scandir", scandir)


def deadly(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text("import os; os._exit(1)")


def too_many(scene: Scene) -> None:
    for number in range(3):
        (scene.directory / f"_helper{number}.py").write_text("")


def hanging(scene: Scene) -> None:
    (scene.directory / "bob.py").write_text("while True: pass")


def faulty(scene: Scene) -> None:
    async def build(*_: object) -> None:
        raise LookupError("nobody foresaw this")

    scene.monkeypatch.setattr(Loader, "build", build)


def impatient(scene: Scene) -> None:
    scene.monkeypatch.setattr("charhost.web.http.body.BODY_DEADLINE", 0.1)


def fails_again(scene: Scene) -> None:
    """Make the file that the start executed fail when it is executed again."""
    scene.monkeypatch.delattr("os.only_once")


def stopping(scene: Scene) -> None:
    """Mark a row whose server the test stops."""


@dataclass(frozen=True)
class Row:
    """A case, and its result in each channel. Without an outcome nothing was attempted.

    The log line and the history follow from the outcome, the command's exit status from the script's.
    """

    case: str
    status: int
    code: str | None = None
    outcome: str | None = None
    success: bool | None = None
    successful: float = UNTOUCHED
    script: int = 1
    world: World = two
    fields: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    path: str = RELOAD
    body: bytes | None = None  # None: the fields as JSON; empty: one that never ends


def applied(case: str, successful: float = 1, **more: Any) -> Row:
    return Row(case, 200, None, "applied", True, successful, 0, **more)


def unchanged(case: str, successful: float, world: World, **more: Any) -> Row:
    return Row(case, 200, None, "unchanged", True, successful, 0, world, **{"fields": CHANGED, **more})


def rejected(case: str, status: int, code: str, world: World, **more: Any) -> Row:
    return Row(case, status, code, "rejected", False, 0, 1, world, **more)


def refused(case: str, status: int, code: str, script: int = 1, **more: Any) -> Row:
    return Row(case, status, code, None, None, UNTOUCHED, script, **more)


CHANGED = {"scope": "changed"}
FOREIGN = {"Origin": "http://localhost:3000"}
TABLE = [
    applied("all files loaded"),
    applied("some failed, exclude", world=one_broken),
    applied("some failed, keep", world=one_broken, fields={"on_error": "keep"}, successful=0),
    unchanged("some failed, exclude, nothing changed", 1, one_broken),
    unchanged("some failed, keep, nothing changed", 0, one_broken, fields=CHANGED | {"on_error": "keep"}),
    unchanged("nothing changed", 1, as_it_was),
    rejected("some failed, abort", 422, "set_rejected", one_broken, fields={"on_error": "abort"}),
    rejected("nothing loadable", 422, "no_characters", all_broken),
    rejected("empty directory", 422, "no_characters", empty),
    rejected("over the limit of files", 422, "directory_too_large", too_many, settings={"max_files": 3}),
    rejected("over the limit of bytes", 422, "directory_too_large", two, settings={"max_bytes": 500}),
    rejected("killing the child", 422, "isolated_load_failed", deadly, fields={"check_isolated": True}),
    rejected(
        "hanging in the child",
        *(422, "isolated_load_failed", hanging),
        fields={"check_isolated": True},
        settings={"file_deadline": 0.2},
    ),
    Row("dry run, would apply", 200, None, "valid", True, UNTOUCHED, 0, fields={"dry_run": True}),
    Row(
        "dry run, would be refused",
        *(422, "set_rejected", "rejected", False, UNTOUCHED, 1, one_broken),
        fields={"dry_run": True, "on_error": "abort"},
    ),
    Row(
        "dry run, directory missing",
        *(404, "directory_not_found", "rejected", False, UNTOUCHED, 1, missing),
        fields={"dry_run": True},
    ),
    rejected("directory missing", 404, "directory_not_found", missing),
    rejected("not a directory", 400, "not_a_directory", a_file),
    rejected("not readable", 403, "directory_not_readable", unreadable),
    refused("not authorised, a key is configured", 401, "invalid_key", 4, settings={"admin_key": "k"}),
    refused("not authorised, none is", 403, "forbidden", 4, headers=FOREIGN),
    refused("broken JSON", 400, "invalid_request", body=b"{"),
    refused("unknown set", 404, "set_not_found", fields={"set": "school"}),
    refused("unknown field", 400, "invalid_request", fields={"colour": "red"}),
    refused("relative path", 400, "invalid_request", fields={"directory": "characters"}),
    refused("content type", 415, "unsupported_media_type", headers={"Content-Type": "text/plain"}),
    refused("size", 413, "request_too_large", body=b"{}".ljust(100_000)),
    refused("body not complete", 408, "request_timeout", world=impatient, body=b""),
    Row(
        "whole load over its deadline",
        *(504, "load_timeout", "failed", False, 0, 1, hanging),
        settings={"load_deadline": 0.2},
    ),
    Row("anything unexpected", 500, "internal_error", "failed", False, 0, 1, faulty),
    refused(
        "path not allowed",
        *(403, "directory_not_allowed", 4),
        fields={"directory": "/etc"},
        settings={"allowed_roots": "/srv"},
    ),
    refused("If-Match differs", 412, "revision_mismatch", 5, headers={"If-Match": '"7-sha256:00"'}),
    applied("If-Match holds", headers={"If-Match": "*"}),
    applied("rollback", path=ROLLBACK, fields={"generation": 1}),
    rejected("rollback, nothing loads", 422, "no_characters", fails_again, path=ROLLBACK, fields={"generation": 1}),
    refused("rollback target unknown", 409, "unknown_generation", path=ROLLBACK, fields={"generation": 9}),
    refused("rollback, none before", 409, "unknown_generation", path=ROLLBACK),
    refused("rollback, If-Match differs", 412, "revision_mismatch", 5, path=ROLLBACK, headers={"If-Match": '"x"'}),
    refused("rollback, unknown field", 400, "invalid_request", path=ROLLBACK, fields={"directory": "default"}),
    refused("rollback, not authorised", 403, "forbidden", 4, path=ROLLBACK, headers=FOREIGN),
    refused("stopping", 503, "stopping", world=stopping),
]


class Before:
    """The server before a row's request: its set, its last report, and an untouched metric and log."""

    def __init__(self, client: Client, caplog: pytest.LogCaptureFixture) -> None:
        self.client = client
        self.caplog = caplog
        self.manager: CharacterManager = client.app[SETS].default.manager
        self.current: CharacterSet = self.manager.current
        self.last: ReloadReport | None = self.manager.last_reload
        client.app[METRICS].last_reload_successful.set(UNTOUCHED)
        caplog.clear()
        caplog.set_level(logging.INFO, "charhost.reload")

    async def check(self, row: Row, trigger: str, report: dict[str, Any]) -> None:
        """Check that report, set, metrics, log line and history after the request agree with *row*."""
        assert (report.get("outcome"), report.get("success")) == (row.outcome, row.success)
        assert self.client.app[METRICS].last_reload_successful._value.get() == row.successful
        assert (self.manager.current is self.current) == (row.outcome != "applied")
        lines = [record.message for record in self.caplog.records if record.message.startswith("character reload")]
        history = await self.manager.store.attempts(100)
        if row.outcome is None:
            assert (lines, self.manager.last_reload, len(history)) == ([], self.last, 1)
            return
        (line,) = lines
        of_set = "" if self.manager.name == DEFAULT_SET else f" of {self.manager.name}"
        assert line.startswith(f"character reload{of_set} {row.outcome} ({trigger}")
        assert self.client.app[METRICS].reloads.labels(trigger, row.outcome)._value.get() == 1
        assert (len(history), history[0].reload_id, history[0].outcome) == (2, report["reload_id"], row.outcome)
        assert self.manager.last_reload is not None
        assert (self.manager.last_reload.reload_id == report["reload_id"]) == (not row.fields.get("dry_run"))
