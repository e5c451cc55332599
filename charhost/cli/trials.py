"""Rehearsals: the files of a directory, each tried out in a process that may crash."""

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
from charhost.sandbox.sandbox import Isolation
from charhost.sandbox.trial import Rehearsal
from charhost.settings import Settings

T = TypeVar("T")
Told = Callable[[int], None]


def completed(work: Coroutine[Any, Any, T]) -> T:
    """Wait for *work*; ends the command where that is not possible, or when Ctrl-C is pressed."""
    if sys.platform != "linux":
        work.close()
        complain("This needs Linux, where a process can be ended with everything that it started.")
        raise typer.Exit(2)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        complain("Interrupted.")
        raise typer.Exit(130) from None


def read_directory(settings: Settings) -> Snapshot:
    """Read the files that a server with these settings would read; raises `DirectoryError`."""
    return take_snapshot(settings.directory, Limits.of(settings))


async def rehearse(
    settings: Settings, snapshot: Snapshot, paths: Sequence[str], told: Told = lambda done: None
) -> list[Rehearsal]:
    """Try the files at *paths* out, as long as that takes; *told* is called with how many are done."""
    isolation = Isolation(settings)
    found: list[Rehearsal] = []
    try:
        async with aclosing(isolation.rehearse(snapshot, paths)) as rehearsals:
            async for rehearsal in rehearsals:
                found.append(rehearsal)
                told(len(found))
    finally:
        await isolation.close()
    return _first_wins(found, snapshot, paths)


def _first_wins(found: list[Rehearsal], snapshot: Snapshot, paths: Sequence[str]) -> list[Rehearsal]:
    """Make an error of each character whose name an earlier file has."""
    first: dict[str, str] = {}
    told = []
    for path, rehearsal in zip(paths, found, strict=True):
        owner = first.setdefault(rehearsal.name, rehearsal.file) if rehearsal.name else rehearsal.file
        if owner != rehearsal.file and rehearsal.error is None:
            error = duplicate(rehearsal.name, rehearsal.file, owner, snapshot.files.get(path))
            rehearsal = rehearsal.model_copy(update={"error": error})
        told.append(rehearsal)
    return told
