"""The engines of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from charhost.speech.hearing import Hearing
from charhost.speech.speech import Speech, Voices

if TYPE_CHECKING:
    from charhost.speech.vad import Detector


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines that the settings ask for: `voices` is there with `speech`.

    With `hearing` turns are found by the `detector`; None is Silero's.
    """

    speech: Speech | None = None
    voices: Voices | None = None
    hearing: Hearing | None = None
    detector: Detector | None = None


NO_ENGINES = Engines()
