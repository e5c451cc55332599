"""Turns of speech, found in the probabilities that a detector gives for frames of sound."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

# Samples per frame at 16 kHz.
FRAME = 512
FRAME_MS = FRAME / 16
# Of the frames looked at, those that have to be speech: 3 of 4, and while the character is audible of more.
_ONSET = (3, 4)
_ONSET_SHARE = 0.8
_MOST_RECENT = 64
_HYSTERESIS = 0.15
# ms of silence after which the turn is worth a guess at its words.
_GUESS_AFTER = 200.0


class TurnSign(Enum):
    """A change of the user's turn: speech began, paused, went on within its turn, or its turn ended."""

    STARTED = auto()
    PAUSED = auto()
    RESUMED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How turns are found: `barge_in` is the least speech, in s, that interrupts; `longest` is that of a turn."""

    threshold: float = 0.5
    silence_ms: float = 500.0
    barge_in: float = 0.25
    longest: float = 60.0


class TurnDetector:
    """Finds the turns of one session frame by frame; knows no clock, so that sound may come at any speed."""

    def __init__(self) -> None:
        self.is_open = False
        self._recent: deque[bool] = deque(maxlen=_MOST_RECENT)
        self._quiet = _MOST_RECENT  # frames since the last speech, while no turn is open
        self._frames = 0  # of the turn
        self._silent = 0  # frames at its end

    @property
    def is_alert(self) -> bool:
        """Whether a turn is open, or one may begin: there was speech a moment ago."""
        return self.is_open or self._quiet < _ONSET[1]

    def reset(self) -> None:
        """Forget the turn: its sound was committed or dropped."""
        self.is_open = False
        self._recent.clear()
        self._quiet = _MOST_RECENT
        self._frames = self._silent = 0

    def step(self, probability: float, settings: TurnSettings, is_audible: bool) -> TurnSign | None:
        """Return the change that the next frame makes; it *is_audible* while the character is heard."""
        if self.is_open:
            return self._go_on(probability, settings)
        self._recent.append(is_speech := probability >= settings.threshold)
        if not is_speech:
            self._quiet += 1
            return None
        self._quiet = 0
        needed, most = _onset(settings) if is_audible else _ONSET
        if sum(list(self._recent)[-most:]) < needed:
            return None
        self.reset()
        self.is_open = True
        return TurnSign.STARTED

    def _go_on(self, probability: float, settings: TurnSettings) -> TurnSign | None:
        self._frames += 1
        before = self._silent * FRAME_MS
        self._silent = 0 if probability >= settings.threshold - _HYSTERESIS else self._silent + 1
        silence = self._silent * FRAME_MS
        # The speech ends within a frame that counts as speech: without it the silence would be too long by half of one.
        if silence > max(0.0, settings.silence_ms - FRAME_MS) or self._frames * FRAME_MS >= settings.longest * 1000:
            self.reset()
            return TurnSign.STOPPED
        guess_after = max(FRAME_MS, min(_GUESS_AFTER, settings.silence_ms))
        if not silence and before >= guess_after:
            return TurnSign.RESUMED
        return TurnSign.PAUSED if before < guess_after <= silence else None


def _onset(settings: TurnSettings) -> tuple[int, int]:
    needed = max(_ONSET[0], round(settings.barge_in * 1000 / FRAME_MS))
    return needed, min(_MOST_RECENT, max(_ONSET[1], round(needed / _ONSET_SHARE)))
