"""charhost new: create a character file from a template."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from charhost.character.character import normal
from charhost.character.validation import MOST_NAME
from charhost.cli.client_options import configured
from charhost.cli.names import stem_of, written_names
from charhost.cli.output import mark, print_error, print_line
from charhost.errors import DirectoryError, DirectoryNotFound
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.settings import Settings
from charhost.text import one_line

TEMPLATE = '''\
"""Describe the character here, for readers of this file."""

# Clients select the character by this name, unique in the directory.
CHARACTER_NAME = {name}

# The voice, for a speech server.
VOICE_SOURCE = {{
    "source_type": "file",
    "path_on_server": {voice},
}}

# Passed to the class below, which makes the prompt from it; any value will do.
INSTRUCTIONS = {{
    "type": "constant",
    "language": "en",
    "text": f"""\\
You are {{CHARACTER_NAME}}. Write here its work, its tastes and one odd trait.
Your words may be read aloud: one to three short sentences, no lists, no headings, no emoji.
When you do not know something, say so and never make it up.
""",
}}

# False for "good" keeps the character off the list of voices.
METADATA = {{"good": True, "comment": None}}


class PromptGenerator:
    """Make the system prompt; each conversation has an instance of its own."""

    def __init__(self, instructions: dict[str, str]) -> None:
        self.instructions = instructions

    def make_system_prompt(self) -> str:
        """Return the system prompt of the conversation."""
        return self.instructions["text"]
'''


def _fit(name: str) -> str:
    """Return the normal form of a name; raise `typer.BadParameter` if it is not valid."""
    name = normal(name)
    if not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise typer.BadParameter(f"a name has 1 to {MOST_NAME} characters, all of them printable")
    return name


def new(
    name: Annotated[str, typer.Argument(callback=_fit, help="The name of the character.")],
    directory: Annotated[Path | None, typer.Option(help="The character directory (default: the setting).")] = None,
) -> None:
    """Create a character file from a template. Nothing is overwritten."""
    settings = configured(directory=directory)
    file = settings.directory / f"{stem_of(name)}.py"
    try:
        taken = _file_of(name, settings)
        if taken is not None:
            raise FileExistsError(f"{taken} in {settings.directory} already defines {name}")
        literals = {"name": name, "voice": f"voices/{file.stem}.wav"}
        _write(file, TEMPLATE.format(**{key: json.dumps(text, ensure_ascii=False) for key, text in literals.items()}))
    except (DirectoryError, OSError) as e:
        print_error(one_line(e))
        raise typer.Exit(1) from e
    print_line(f"{mark(True)} Wrote {one_line(file)}\n")
    print_line(_next_steps(name, file))


def _file_of(name: str, settings: Settings) -> str | None:
    """Return the path of a file that may define the character, if there is one."""
    try:
        names = written_names(take_snapshot(settings.directory, Limits.of(settings)))
    except DirectoryNotFound:  # it is made
        return None
    return next((path for path, written in names.items() if name in written), None)


def _write(file: Path, source: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(source)
    except FileExistsError:
        raise FileExistsError(f"{file} exists already, and is left as it is") from None


def _next_steps(name: str, file: Path) -> str:
    character, folder = shlex.quote(name), shlex.quote(str(file.parent))
    return f"""\
Next:
  edit it, its INSTRUCTIONS above all: {shlex.quote(str(file))}
  charhost check {folder}
  charhost preview {character} --directory {folder}
  charhost serve --directory {folder} --watch   (or, beside a running server: charhost reload {folder})
  charhost chat {character}"""
