"""charhost preview: show the prompt of one character."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charhost.character.character import normal
from charhost.character.host_tools import HOST_TOOLS
from charhost.cli.client_options import configured
from charhost.cli.names import unknown_name, written_names
from charhost.cli.output import error_line, print_error, print_json, print_line
from charhost.errors import DirectoryError
from charhost.llm.token_estimate import letters, tokens
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.sandbox.trial import Trial
from charhost.settings import Settings
from charhost.text import one_line

if TYPE_CHECKING:
    from charhost.cli.character_voices import FoundVoice


def preview(
    name: Annotated[str, typer.Argument(help="The name of the character.")],
    directory: Annotated[Path | None, typer.Option(help="The character directory (default: the setting).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only JSON.")] = False,
) -> None:
    """Show the prompt that a character makes, its size, its tools and its greetings.

    Its file is run in a child process. Exit status 1 if that fails, or if there is no such character.
    """
    # Imported here, as in other commands, to keep the start of the command short.
    from charhost.cli.character_voices import voices_of
    from charhost.cli.trials import completed

    settings = configured(directory=directory)
    try:
        found, known = completed(_tried(settings, normal(name)))
    except DirectoryError as e:
        print_error(one_line(e))
        raise typer.Exit(1) from e
    if found is None:
        print_error(one_line(unknown_name(name, known, f"in {settings.directory}")))
    elif found.error is not None:
        print_error(error_line(found.error.model_dump()))
    else:
        [voice] = completed(voices_of(settings, settings.directory, [found]))
        print_json(_document(found, voice)) if as_json else _show(found, voice)
    raise typer.Exit(0 if found is not None and found.error is None else 1)


async def _tried(settings: Settings, name: str) -> tuple[Trial | None, list[str]]:
    """Return the trial of the character called *name*, and the names of the good characters tried."""
    from charhost.cli.trials import try_files

    snapshot = take_snapshot(settings.directory, Limits.of(settings))
    names = written_names(snapshot)
    # Only the files that may define the name, if there is one: the others may take long.
    paths = [path for path, written in names.items() if name in written] or list(names)
    trials = await try_files(settings, snapshot, paths)
    claims = [r for path, r in zip(paths, trials, strict=True) if name in {r.name, *names[path]}]
    claims.sort(key=lambda trial: trial.error is not None)
    return next(iter(claims), None), [trial.name for trial in trials if trial.error is None]


def _show(found: Trial, voice: FoundVoice) -> None:
    print_line("\n".join(map(one_line, found.prompt.splitlines())))
    lines = [f"file: {found.file}", f"size: {len(found.prompt):,} characters, about {_tokens(found):,} tokens"]
    lines += [f"tool: {_signature(tool['function'])}" for tool in found.tools]
    lines += [f"host tool: {_signature(HOST_TOOLS[name]['function'])}" for name in found.host_tools]
    lines += [f"greeting: {greeting}" for greeting in found.greetings]
    lines += [f"voice: {voice.voice.name} ({voice.voice.engine})"] if voice.voice is not None else []
    lines += [f"warning: {warning}" for warning in voice.warnings]
    print_line("\n" + "\n".join(map(one_line, lines)))


def _signature(function: dict[str, Any]) -> str:
    names = (function.get("parameters") or {}).get("properties", {})
    description = function.get("description")
    return f"{function['name']}({', '.join(names)})" + (f": {description}" if description else "")


def _tokens(found: Trial) -> int:
    return tokens(letters(found.prompt))


def _document(found: Trial, voice: FoundVoice) -> str:
    sizes = {"prompt_characters": len(found.prompt), "prompt_tokens": _tokens(found)}
    fields = found.model_dump(mode="json", exclude={"error", "voice_source", "language"}) | sizes
    if voice.voice is not None:
        fields["voice"] = {
            "backend": voice.voice.engine,
            "name": voice.voice.name,
            "exact": voice.voice.is_exact,
            "why": voice.voice.why or None,
        }
    return json.dumps(fields, indent=2, ensure_ascii=False)
