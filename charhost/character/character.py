from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Container, ItemsView, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, count
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, StringConstraints

from charhost.report import DEFAULT_SET
from charhost.settings import Habit


class LoadedModules:
    """The modules of one build, which stay loaded as long as a character of the build holds this object."""

    @property
    def helpers(self) -> Container[str]:
        """The names that its files can import, relative to the directory."""
        return ()


def version_of(location: str, fingerprint: str) -> str:
    """Return a name for the code of one version of a file, as the owner of the threads that run it."""
    return f"{location} {fingerprint}"


@dataclass(frozen=True, eq=False, slots=True)
class Character:
    """One character as its file defined it.

    `voice_source`, `metadata` and `tools` are plain JSON data, copied when the file was loaded; `instructions` is
    what the file has, as `prompt_generator` expects it. `host_tools` are the names of the host's own tools that it may
    be given. `file` is relative to the directory, `location` absolute. One of the `greetings` opens a conversation.
    """

    name: str
    file: str
    location: str
    voice_source: Mapping[str, Any]
    instructions: dict[Any, Any]
    metadata: Mapping[str, Any]
    tools: tuple[Mapping[str, Any], ...]
    host_tools: tuple[str, ...]
    llm: ModelChoice
    greetings: tuple[str, ...]
    prompt_generator: type[Any]
    fingerprint: str
    generation: int
    modules: LoadedModules = field(repr=False)
    set: str = DEFAULT_SET

    @property
    def version(self) -> str:
        return version_of(self.location, self.fingerprint)

    @property
    def is_good(self) -> bool:
        return self.metadata.get("good") is True


@dataclass(frozen=True, eq=False)
class CharacterSet(Mapping[str, Character]):
    """The characters that serve together, by name; `directory` is the path in the request."""

    directory: str
    generation: int = 0
    characters: Mapping[str, Character] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> Character:
        return self.characters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    # These would each ask for one name after the other, and a reload goes through all of them several times.
    def __contains__(self, name: object) -> bool:
        return name in self.characters

    def items(self) -> ItemsView[str, Character]:
        return self.characters.items()

    def values(self) -> ValuesView[Character]:
        return self.characters.values()

    def numbered(self, generation: int) -> CharacterSet:
        """Return the same set as another generation, for one that does not serve yet.

        Characters that were carried over keep their number.
        """
        if generation == self.generation:
            return self
        characters = {
            name: replace(one, generation=generation) if one.generation == self.generation else one
            for name, one in self.items()
        }
        return CharacterSet(self.directory, generation, characters)

    @cached_property
    def revision(self) -> str:
        entries = "".join([f"{name}\0{self.characters[name].fingerprint}\0" for name in sorted(self.characters)])
        return f"sha256:{hashlib.sha256(entries.encode()).hexdigest()}"

    @property
    def etag(self) -> str:
        """The entity tag of the set (RFC 9110, section 8.8.3), without the quotes."""
        return f"{self.generation}-{self.revision}"

    @property
    def listing(self) -> list[dict[str, Any]]:
        return [{"name": c.name, **{key: c.metadata.get(key) for key in ("good", "comment")}} for c in self.values()]

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """An id in ASCII for each name, such as `professor-quill`; none is another character's name or alias.

        A name that is such an id already is its own alias.
        """
        aliases: dict[str, str] = {}
        taken = set(self.characters)
        for name in self.characters:
            base = _in_ascii(name)
            spellings = chain([base], (f"{base}-{number}" for number in count(2)))
            aliases[name] = next(alias for alias in spellings if alias == name or alias not in taken)
            taken.add(aliases[name])
        return aliases

    @cached_property
    def by_voice(self) -> Mapping[str, Character]:
        """The characters by the file of their voice; a file of several is that of the only good one, or of none."""
        files: dict[str, list[Character]] = {}
        for character in self.values():
            if isinstance(path := character.voice_source.get("path_on_server"), str):
                files.setdefault(path, []).append(character)
        fitting = {path: [c for c in all_ if c.is_good] or all_ for path, all_ in files.items()}
        return {path: characters[0] for path, characters in fitting.items() if len(characters) == 1}

    def find(self, name: str) -> Character | None:
        """Return the character of that name or alias, in any Unicode form and with spaces around it."""
        name = normal(name)
        return self.characters.get(name) or self._by_alias.get(name)

    def default(self, name: str | None = None) -> Character | None:
        """Return the character called *name*, else the first good one, else the first."""
        chosen = self.find(name) if name is not None else None
        return chosen or next((c for c in self.values() if c.is_good), None) or next(iter(self.values()), None)

    @cached_property
    def _by_alias(self) -> Mapping[str, Character]:
        return {alias: self.characters[name] for name, alias in self.aliases.items()}


_Text = Annotated[str, Field(min_length=1)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_NOT_SENT = {"model", "extra_body", "compat", "url", "api_key_env"}


def _one_or_several(value: Any) -> Any:
    stops = [value] if isinstance(value, str) else value
    return tuple(stops) if isinstance(stops, list) else stops


def _without_key(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("a URL must not hold a key: name its variable in api_key_env")
    return url


def _not_ours(variable: str) -> str:
    if variable.startswith("CHARHOST_"):
        raise ValueError("the keys of charhost itself are not for a character's server: name another variable")
    return variable


class ModelChoice(BaseModel):
    """The settings in a character's `LLM`; the others are the server's.

    With a `url` of its own a character is never sent the server's key, but that of the variable `api_key_env`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    model: _Text | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: _Number | None = None
    top_k: int | None = None
    min_p: _Number | None = None
    frequency_penalty: _Number | None = None
    presence_penalty: _Number | None = None
    repetition_penalty: _Number | None = None
    seed: int | None = None
    reasoning_effort: _Text | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Annotated[tuple[_Text, ...], BeforeValidator(_one_or_several)] | None = None
    extra_body: dict[str, Any] | None = None
    compat: Annotated[frozenset[Annotated[Habit, Field(strict=False)]], Field(strict=False)] | None = None
    url: Annotated[HttpUrl, Field(strict=False), AfterValidator(_without_key)] | None = None
    api_key_env: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_not_ours)] | None
    ) = None

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """The fields that are set, as those of a chat-completions request; `extra_body` goes first."""
        named = self.model_dump(mode="json", exclude=_NOT_SENT, exclude_none=True)
        return named | (self.extra_body or {})


def normal(name: str) -> str:
    """Return the form of a name in which names are compared."""
    return unicodedata.normalize("NFC", name).strip()


def _in_ascii(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]+", name):
        return name
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall(r"[a-z0-9]+", letters))
    return words or f"character-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
