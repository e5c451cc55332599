"""Types of the settings' values, and their checks."""

import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from charhost.report import DEFAULT_SET, SET_NAME
from charhost.settings.habit import Habit

# As browsers send them; desktop applications have schemes of their own, some with another name at every start.
_ORIGIN = re.compile(
    r"\*|null|file://|https?://[^/?#*\s]+/?|(?!https?:|ftp:|wss?:)[a-z][a-z0-9+.-]*://([^/?#*\s]+/?|\*)", re.I
)
_HTTP = ("http", "https")
_HOST = re.compile(r"\*|[^/?#*:@\s]+")


def default_directory() -> Path:
    return project_folder("charhost.default_characters", "characters")


def project_folder(package: str, folder: str) -> Path:
    """Return a folder of the project, which a wheel installs as *package*; a checkout has it beside the code."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(__file__).parents[2] / folder


def _url(url: str, schemes: Sequence[str], example: str, key: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"expected a URL such as {example}")
    if parts.username or parts.password:
        raise ValueError(f"a URL must not hold a key: set {key}")
    return url.rstrip("/")


def _model_url(url: str) -> str:
    return url if url == "none" else _url(url, _HTTP, "http://127.0.0.1:11434/v1", "CHARHOST_LLM_KEY")


def _http_url(url: str) -> str:
    return _url(url, _HTTP, "http://127.0.0.1:8092", "CHARHOST_TTS_KEY")


def _engine(address: str) -> str:
    if address in ("embedded", "off"):
        return address
    example = "http://127.0.0.1:8880/v1 or ws://127.0.0.1:8089, embedded, or off"
    return _url(address, (*_HTTP, "ws", "wss"), example, "CHARHOST_TTS_KEY or CHARHOST_STT_KEY")


def _origins(text: str) -> str:
    if not all(_ORIGIN.fullmatch(origin.strip()) for origin in text.split(",")):
        raise ValueError("expected origins such as https://chat.example.com, or *")
    return text


def _hosts(text: str) -> str:
    if not all(_HOST.fullmatch(name.strip()) for name in text.split(",")):
        raise ValueError("expected names such as chat.example.com, without a port, or *")
    return text


def _roots(text: str) -> str:
    if not all(os.path.isabs(os.path.expanduser(root)) for root in text.split(os.pathsep)):
        raise ValueError(f"expected absolute paths with {os.pathsep} between them")
    return text


def habits_in(text: str) -> frozenset[Habit]:
    """Return the habits that are named in *text*, separated by commas; raises `ValueError`."""
    return frozenset(Habit(name) for name in map(str.strip, text.split(",")) if name)


def _habits(text: str) -> str:
    try:
        habits_in(text)
    except ValueError:
        raise ValueError(f"expected names of {', '.join(Habit)}, separated by commas") from None
    return text


def _split(patterns: str | Sequence[str]) -> list[str]:
    texts = [patterns] if isinstance(patterns, str) else patterns
    return [pattern for text in texts for pattern in map(str.strip, text.split(",")) if pattern]


def _patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        _check_pattern(pattern)
    return patterns


def _check_pattern(pattern: str) -> None:
    from pathspec import GitIgnoreSpec  # most servers have no patterns

    try:
        GitIgnoreSpec.from_lines([pattern])
    except ValueError:
        raise ValueError(f"expected patterns as in .gitignore, separated by commas: {pattern} is none") from None


def _entries(text: str | Sequence[str]) -> list[str]:
    texts = [text] if isinstance(text, str) else text
    # A directory may have a comma in its name, if no set's name follows it.
    return [entry.strip() for part in texts for entry in re.split(rf",(?=\s*{SET_NAME}=)", part) if entry.strip()]


def _named_directories(entries: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, Path] = {}
    for entry in entries:
        name, equals, directory = entry.partition("=")
        if not (equals and directory and re.fullmatch(SET_NAME, name)):
            raise ValueError(f"expected NAME=DIRECTORY, such as gaming=/srv/games, with a name of {SET_NAME}")
        if name == DEFAULT_SET or name in found:
            why = "the set of --directory" if name == DEFAULT_SET else "named twice"
            raise ValueError(f"the set {name} is {why}: give this one another name")
        found[name] = _absolute(Path(directory))
    return tuple(f"{name}={directory}" for name, directory in found.items())


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as e:  # HOME is not set, and the user has no entry in passwd
        raise ValueError("~ has no meaning here: this user has no home directory; name the whole path") from e


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
EngineAddress = Annotated[str, AfterValidator(_engine)]
Hosts = Annotated[str, AfterValidator(_hosts)]
Habits = Annotated[str, AfterValidator(_habits)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
ModelUrl = Annotated[str, AfterValidator(_model_url)]
Origins = Annotated[str, AfterValidator(_origins)]
NamedDirectories = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_entries), AfterValidator(_named_directories)]
Patterns = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_patterns)]
Roots = Annotated[str, AfterValidator(_roots)]
