"""Whisper on this machine."""

from contextlib import aclosing
from functools import partial
from pathlib import Path

from charhost.speech.batch_listening import BatchListening
from charhost.speech.embedded.child import Child
from charhost.speech.hearing import HEARD_RATE, Listening
from charhost.speech.speech import EngineState

_PROGRAM = Path(__file__).with_name("whisper.py")
_FINAL, _GUESS = 0, 1
_PATIENCE = 30.0


class WhisperHearing:
    """Owns the process of Whisper; turns that are over are heard before guesses."""

    def __init__(self, model: Path) -> None:
        self._child = Child("Whisper", _PROGRAM, str(model))

    def start(self) -> None:
        self._child.start()

    async def close(self) -> None:
        await self._child.close()

    async def state(self) -> EngineState:
        return self._child.state

    def listen(self, language: str | None, hint: str) -> Listening:
        return BatchListening(partial(self._recognise, language, hint))

    async def _recognise(self, language: str | None, hint: str, sound: bytes, final: bool) -> str:
        job = {"pcm": sound, "language": language and language.replace("_", "-").partition("-")[0], "hint": hint}
        # More than a turn waits: an engine that is only slow, on a machine with much to do, is not started again.
        patience = _PATIENCE + len(sound) / 2 / HEARD_RATE
        async with aclosing(self._child.replies(job, _FINAL if final else _GUESS, patience)) as segments:
            return " ".join([segment["text"].strip() async for segment in segments]).strip()
