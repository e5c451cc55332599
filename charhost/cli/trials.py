"""Trials of the files of a directory, each in a child process that may crash."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import typer

from charhost.cli.output import complain
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.reload.loader import duplicate
from charhost.sandbox.sandbox import Sandbox
from charhost.sandbox.trial import Trial
from charhost.settings import Settings

T = TypeVar("T")
Progress = Callable[[int], None]


def completed(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*; end the command on other systems than Linux, and on Ctrl-C."""
    if sys.platform != "linux":
        work.close()
        complain("This command needs Linux.")
        raise typer.Exit(2)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        complain("Interrupted.")
        raise typer.Exit(130) from None


def read_directory(settings: Settings) -> Snapshot:
    """Read the directory as a server with these settings does; raise `DirectoryError`."""
    return take_snapshot(settings.directory, Limits.of(settings))


async def try_files(
    settings: Settings, snapshot: Snapshot, paths: Sequence[str], progress: Progress = lambda done: None
) -> list[Trial]:
    """Return the trials of the files at *paths*; call *progress* with the number of those that are done."""
    sandbox = Sandbox(settings)
    found: list[Trial] = []
    try:
        async with aclosing(sandbox.trials(snapshot, paths)) as trials:
            async for trial in trials:
                found.append(trial)
                progress(len(found))
    finally:
        await sandbox.close()
    return _refuse_duplicates(found, snapshot, paths)


def _refuse_duplicates(found: list[Trial], snapshot: Snapshot, paths: Sequence[str]) -> list[Trial]:
    """Make an error of each character whose name an earlier file has."""
    first: dict[str, str] = {}
    trials = []
    for path, trial in zip(paths, found, strict=True):
        owner = first.setdefault(trial.name, trial.file) if trial.name else trial.file
        if owner != trial.file and trial.error is None:
            error = duplicate(trial.name, trial.file, owner, snapshot.files.get(path))
            trial = trial.model_copy(update={"error": error})
        trials.append(trial)
    return trials
