"""The keys of VOICE_SOURCE that say which voice an engine of this server should use, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charhost.text import field_problems, quoted

_Name = Annotated[str, Field(min_length=1, max_length=500)]


class VoiceOptions(BaseModel):
    """All are optional: `VOICE_SOURCE` may be any dict.

    `voice` is the name of a voice as engines know it, `voices` such names by engine.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    voice: _Name | None = None
    voices: dict[str, _Name] = {}
    speed: Annotated[float, Field(ge=0.5, le=2, allow_inf_nan=False)] = 1.0
    pitch: Annotated[float, Field(ge=0.8, le=1.25, allow_inf_nan=False)] = 1.0
    language: _Name | None = None


class ReadOptions(NamedTuple):
    """The options, and a sentence for each key with another value, which has no effect."""

    options: VoiceOptions
    mistakes: tuple[str, ...]


def voice_options(source: Mapping[str, Any]) -> ReadOptions:
    """Return the options in a `VOICE_SOURCE`; whatever it holds, the character speaks."""
    given = {name: source[name] for name in VoiceOptions.model_fields if source.get(name) is not None}
    try:
        return ReadOptions(VoiceOptions.model_validate(given), ())
    except ValidationError as e:
        problems = list(field_problems(e))
    wrong = {str(problem.steps[0]) for problem in problems}
    usable = {name: value for name, value in given.items() if name not in wrong}
    texts = (f"VOICE_SOURCE[{str(p.steps[0])!r}] is {quoted(p.found)} and has no effect: {p.text}" for p in problems)
    return ReadOptions(VoiceOptions.model_validate(usable), tuple(texts))
