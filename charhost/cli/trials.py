"""Trials of the files of a directory, each in a child process that may crash."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import typer

from charhost.cli.output import print_error
from charhost.loading.snapshot import Snapshot
from charhost.reload.duplicates import duplicates
from charhost.sandbox.sandbox import Sandbox
from charhost.sandbox.trial import Trial
from charhost.settings import Settings

T = TypeVar("T")


def completed(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*; end the command on other systems than Linux, and on Ctrl-C."""
    if sys.platform != "linux":
        work.close()
        print_error("This command needs Linux.")
        raise typer.Exit(2)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print_error("Interrupted.")
        raise typer.Exit(130) from None


async def try_files(
    settings: Settings, snapshot: Snapshot, paths: Sequence[str], progress: Callable[[int], None] = lambda done: None
) -> list[Trial]:
    """Return the trials of the files at *paths*; call *progress* with the number of those that are done."""
    sandbox = Sandbox(settings)
    found: dict[str, Trial] = {}
    try:
        async with aclosing(sandbox.trials(snapshot, paths)) as trials:
            async for trial in trials:
                found[paths[len(found)]] = trial
                progress(len(found))
    finally:
        await sandbox.close()
    taken = duplicates({path: trial.name for path, trial in found.items() if trial.name}, snapshot)
    return [
        trial if trial.error or path not in taken else trial.model_copy(update={"error": taken[path]})
        for path, trial in found.items()
    ]
