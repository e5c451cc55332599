"""charhost check: try the files of a directory in a child process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import BaseModel

from charhost.cli.client_options import configured
from charhost.cli.output import error_line, left_out_lines, mark, print_json, print_line, show_table
from charhost.errors import DirectoryError
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.report import SET_NAME, FileError, LeftOut, PathText
from charhost.sandbox.trial import Trial
from charhost.settings import Settings
from charhost.text import one_line

if TYPE_CHECKING:
    from charhost.cli.character_voices import FoundVoice

# A bar for less than this many seconds would only flicker.
_LONG = 1.0


def check(
    directory: Annotated[Path | None, typer.Argument(help="The character directory (default: the setting).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only a report in JSON.")] = False,
) -> None:
    """Load every character file in a child process and make its prompt.

    Exit status: 0 all files would serve, 1 a file would not or there is none, 2 wrong usage.
    """
    # Imported here, as in other commands, to keep the start of the command short.
    from charhost.cli.trials import completed

    report = completed(_checked(configured(directory=directory)))
    if as_json:
        print_json(report.model_dump_json(indent=2))
    else:
        _show(report)
    raise typer.Exit(0 if report.success else 1)


class Checked(BaseModel, frozen=True):
    """A character that would serve, and how long its prompt is."""

    file: str
    name: str
    prompt_characters: int
    tools: tuple[str, ...]
    host_tools: tuple[str, ...]


class CheckReport(BaseModel, frozen=True):
    """The result of a check, in the fields of a `ReloadReport`; `left_out` is that of the status."""

    success: bool
    directory: PathText
    total_files: int = 0
    loaded_count: int = 0
    error_count: int = 0
    load_duration: float = 0.0
    message: PathText
    outcome: Literal["valid", "rejected"]
    errors: tuple[FileError, ...] = ()
    characters: tuple[Checked, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()


async def _checked(settings: Settings) -> CheckReport:
    from charhost.cli.character_voices import voices_of
    from charhost.cli.trials import try_files

    began = time.monotonic()
    try:
        snapshot = take_snapshot(settings.directory, Limits.of(settings))
    except DirectoryError as e:
        return CheckReport(success=False, directory=str(settings.directory), message=str(e), outcome="rejected")
    with _bar(len(snapshot.character_paths)) as progress:
        trials = await try_files(settings, snapshot, snapshot.character_paths, progress)
    voices = await voices_of(settings, Path(snapshot.directory), trials)
    return _report(snapshot, trials, voices, time.monotonic() - began)


def _report(snapshot: Snapshot, trials: list[Trial], voices: list[FoundVoice], duration: float) -> CheckReport:
    directory = snapshot.directory
    errors = tuple(trial.error for trial in trials if trial.error is not None)
    good = tuple(
        Checked(
            file=trial.file,
            name=trial.name,
            prompt_characters=len(trial.prompt),
            tools=tuple(str(tool["function"]["name"]) for tool in trial.tools),
            host_tools=trial.host_tools,
        )
        for trial in trials
        if trial.error is None
    )
    message = f"{len(errors) or len(trials)} of {len(trials)} character files in {directory} would "
    message += "not serve." if errors else "serve."
    success = bool(good) and not errors
    return CheckReport(
        success=success,
        directory=str(directory),
        total_files=len(trials),
        loaded_count=len(good),
        error_count=len(errors),
        load_duration=round(duration, 6),
        message=message if trials else f"There is no character file in {directory}.",
        outcome="valid" if success else "rejected",
        errors=errors,
        characters=good,
        left_out=snapshot.omissions,
        warnings=(
            *(warning for character in good for warning in _hiding(character)),
            *(warning for found in voices for warning in found.warnings),
        ),
    )


def _hiding(character: Checked) -> Iterator[str]:
    """Warn of a name that means a character of another set as well; in the default set it hides that one."""
    name, slash, rest = character.name.partition("/")
    if slash and rest and re.fullmatch(SET_NAME, name):
        hidden = f"{rest} of a set called {name}"
        yield f"{character.file}: the name {character.name} hides the character {hidden}: give it another name"


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a long check on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = progress.add_task("Checking", total=total)

    def update(done: int) -> None:
        progress.update(task, completed=done)
        if (progress.tasks[0].elapsed or 0) > _LONG:
            progress.start()

    try:
        yield update
    finally:
        if progress.live.is_started:  # stopping one that was not started would print a line break
            progress.stop()


def _show(report: CheckReport) -> None:
    if report.characters:
        rows = [
            (c.file, c.name, f"{c.prompt_characters:,} characters", ", ".join(c.tools + c.host_tools) or None)
            for c in report.characters
        ]
        show_table(("file", "character", "prompt", "tools"), rows)
        print_line("")
    for error in report.errors:
        print_line(error_line(error.model_dump()))
    for warning in report.warnings:
        print_line(one_line(f"warning: {warning}"))
    for line in left_out_lines(report.model_dump()):
        print_line(f"left out: {line}")
    print_line(f"{mark(report.success)} {one_line(report.message)} ({report.load_duration:.2f} s)")
