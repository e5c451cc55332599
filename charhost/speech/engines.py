"""The engines of a server."""

from __future__ import annotations

from dataclasses import dataclass

from charhost.speech.hearing import Hearing
from charhost.speech.speech import Speech, Voices


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines that the settings ask for: `voices` is there with `speech`."""

    speech: Speech | None = None
    voices: Voices | None = None
    hearing: Hearing | None = None
