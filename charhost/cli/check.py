"""charhost check: try the files of a directory in a child process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import BaseModel, ConfigDict

from charhost.cli.options import configured
from charhost.cli.output import error_line, mark, say, say_json, show_table
from charhost.errors import DirectoryError
from charhost.report import FileError, PathText
from charhost.settings import Settings
from charhost.text import one_line

if TYPE_CHECKING:
    from charhost.sandbox.trial import Trial

# A bar for less than this would only flicker.
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
        say_json(report.model_dump_json(indent=2))
    else:
        _show(report)
    raise typer.Exit(0 if report.success else 1)


class Checked(BaseModel):
    """A character that would serve, and how long its prompt is."""

    model_config = ConfigDict(frozen=True)

    file: str
    name: str
    prompt_characters: int
    tools: tuple[str, ...]
    host_tools: tuple[str, ...]


class CheckReport(BaseModel):
    """The result of a check, in the fields of a `ReloadReport`."""

    model_config = ConfigDict(frozen=True)

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


async def _checked(settings: Settings) -> CheckReport:
    from charhost.cli.trials import read_directory, try_files

    began = time.monotonic()
    try:
        snapshot = read_directory(settings)
    except DirectoryError as e:
        return CheckReport(success=False, directory=str(settings.directory), message=str(e), outcome="rejected")
    paths = snapshot.character_paths
    with _bar(len(paths)) as progress:
        trials = await try_files(settings, snapshot, paths, progress)
    return _report(settings.directory, trials, time.monotonic() - began)


def _report(directory: Path, trials: list[Trial], duration: float) -> CheckReport:
    errors = tuple(trial.error for trial in trials if trial.error is not None)
    good = tuple(_good(trial) for trial in trials if trial.error is None)
    success = bool(good) and not errors
    return CheckReport(
        success=success,
        directory=str(directory),
        total_files=len(trials),
        loaded_count=len(good),
        error_count=len(errors),
        load_duration=round(duration, 6),
        message=_message(directory, len(trials), len(errors)),
        outcome="valid" if success else "rejected",
        errors=errors,
        characters=good,
    )


def _good(trial: Trial) -> Checked:
    tools = tuple(str(tool["function"]["name"]) for tool in trial.tools)
    return Checked(
        file=trial.file,
        name=trial.name,
        prompt_characters=len(trial.prompt),
        tools=tools,
        host_tools=trial.host_tools,
    )


def _message(directory: Path, files: int, errors: int) -> str:
    if not files:
        return f"There is no character file in {directory}."
    if errors:
        return f"{errors} of {files} character files in {directory} would not serve."
    return f"{files} of {files} character files in {directory} would serve."


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of a long check on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    began, progress = time.monotonic(), Progress(console=console, transient=True)
    task = progress.add_task("Checking", total=total)

    def told(done: int) -> None:
        progress.update(task, completed=done)
        if console.is_terminal and time.monotonic() - began > _LONG:
            progress.start()

    try:
        yield told
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
        say("")
    for error in report.errors:
        say(error_line(error.model_dump()))
    say(f"{mark(report.success)} {one_line(report.message)} ({report.load_duration:.2f} s)")
