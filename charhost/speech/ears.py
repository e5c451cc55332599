"""The ears of all sessions: their audio is decoded and looked through for speech on one thread, a step at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any

import numpy as np

from charhost.logs.line_limit import limited
from charhost.speech.formats import SILENT, TYPES, Decoder, Encoding, SentEncoding
from charhost.speech.opus import OpusDecoder
from charhost.speech.turns import FRAME, FRAME_MS
from charhost.speech.vad import Detector

log = logging.getLogger("charhost.speech")

# Seconds between two steps, and of the steps for sessions in which nobody speaks: two frames at a time cost less.
_TICK = FRAME_MS / 4_000
_SLOW_TICK = FRAME_MS * 2 / 1000
# Of the audio of one session in a step, so that a flood from one keeps no other waiting: bytes of a second.
_MOST_AT_A_TIME = 48_000
# A stream of Opus may have as much in far fewer bytes.
_MOST_OPUS_AT_A_TIME = 4_000
# Below this nothing is speech, and the model is not asked (of 32,768).
_QUIET = 4

_FRAME_BYTES = FRAME * 2
_SILENCE = 0.06  # s, which push the last samples through the resampler and the last frame


@dataclass(slots=True)
class Heard:
    """A frame of sound for engines that hear, and the probability that it is speech."""

    pcm: bytes
    probability: float = 0.0


# A place in the sound that is waited for.
Mark = asyncio.Future[None]
Step = tuple[SentEncoding, bytes] | Mark


@dataclass(eq=False)
class Ear:
    """The audio of one session on its way; `is_urgent` while someone speaks, `finds_speech` unless turns are manual."""

    is_urgent: bool = False
    finds_speech: bool = True
    most_at_a_time: int = _MOST_AT_A_TIME
    waiting: deque[Step] = field(default_factory=deque)
    waiting_bytes: int = 0
    heard: asyncio.Queue[list[Heard | Mark]] = field(default_factory=asyncio.Queue)
    state: Any = None  # of the detector
    _decoder: Decoder | OpusDecoder | None = None
    _rest: bytes = b""  # of a frame

    @property
    def is_flooded(self) -> bool:
        """Whether more waits than one step may have."""
        return self.waiting_bytes > self.most_at_a_time

    def put(self, encoding: SentEncoding, data: bytes) -> None:
        """Add audio, in pieces of which each fits into a step."""
        for at in range(0, len(data), self.most_at_a_time):
            self.waiting.append((encoding, data[at : at + self.most_at_a_time]))
        self.waiting_bytes += len(data)

    def taken(self) -> list[Step]:
        """Take as much as one step may have."""
        taken: list[Step] = []
        size = 0
        while self.waiting:
            step = self.waiting[0]
            if not isinstance(step, asyncio.Future):
                size += len(step[1])
                if size > self.most_at_a_time:
                    break
                self.waiting_bytes -= len(step[1])
            taken.append(self.waiting.popleft())
        return taken

    def decode(self, steps: list[Step]) -> list[Heard | Mark]:
        """Return the frames in *steps*, and its marks; runs on a thread."""
        heard: list[Heard | Mark] = []
        for encoding, pieces in groupby(steps, lambda step: None if isinstance(step, asyncio.Future) else step[0]):
            if encoding is None:
                heard += _marks(list(pieces))
            else:
                heard += self._frames(encoding, [step[1] for step in pieces if isinstance(step, tuple)])
        return heard

    def _frames(self, encoding: SentEncoding, pieces: list[bytes]) -> list[Heard]:
        if self._decoder is None or self._decoder.encoding != encoding:
            self._decoder = OpusDecoder() if encoding == "audio/ogg" else Decoder(encoding)
        # Each piece of Ogg/Opus may begin a stream.
        whole = pieces if encoding == "audio/ogg" else [b"".join(pieces)]
        pcm = b"".join([self._rest, *(self._decoder.decode(piece).tobytes() for piece in whole)])
        end = len(pcm) - len(pcm) % _FRAME_BYTES
        self._rest = pcm[end:]
        return [Heard(pcm[at : at + _FRAME_BYTES]) for at in range(0, end, _FRAME_BYTES)]


class Ears:
    """Owns the thread and the ears of all sessions; lives as long as the application."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._ears: set[Ear] = set()
        self._arrived = asyncio.Event()
        self._slow_timer: asyncio.TimerHandle | None = None
        self._is_slow_due = False
        self._finishing: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, "charhost-ears")

    def __len__(self) -> int:
        return len(self._ears)

    def open(self, encoding: SentEncoding = "audio/pcm") -> Ear:
        ear = Ear(most_at_a_time=_MOST_OPUS_AT_A_TIME if encoding == "audio/ogg" else _MOST_AT_A_TIME)
        self._ears.add(ear)
        return ear

    def close(self, ear: Ear) -> None:
        self._ears.discard(ear)

    def put(self, ear: Ear, encoding: SentEncoding, data: bytes) -> None:
        """Add audio of a session."""
        ear.put(encoding, data)
        self._wake(ear)

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the last work for a session, whose own tasks may be cancelled."""
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def reach(self, ear: Ear, encoding: Encoding) -> None:
        """Wait until all audio of a session so far is worked off, to the last sample."""
        mark: Mark = asyncio.get_running_loop().create_future()
        rate = TYPES[encoding].rate
        self.put(ear, encoding, SILENT[encoding] * int(rate * _SILENCE))
        ear.waiting.append(mark)
        self._look_at_all()
        await mark

    async def run(self, _: object = None) -> AsyncGenerator[None, None]:
        """Work until the application stops; a `cleanup_ctx`."""
        working = asyncio.create_task(self._work())
        yield
        working.cancel()
        await asyncio.wait([working, *self._finishing])
        self._thread.shutdown()

    def _wake(self, ear: Ear) -> None:
        """Have the next step look at an ear that has audio."""
        if ear.is_urgent or ear.is_flooded:
            self._arrived.set()
        elif self._slow_timer is None:
            self._slow_timer = asyncio.get_running_loop().call_later(_SLOW_TICK, self._look_at_all)

    def _look_at_all(self) -> None:
        if self._slow_timer is not None:
            self._slow_timer.cancel()
        self._slow_timer, self._is_slow_due = None, True
        self._arrived.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            due = loop.time() + _TICK
            # Nobody waits longer because of a session that sends much at once.
            are_all_due, self._is_slow_due = self._is_slow_due or any(ear.is_flooded for ear in self._ears), False
            steps = [(ear, ear.taken()) for ear in self._ears if ear.waiting and (are_all_due or ear.is_urgent)]
            for ear, heard in await self._heard(steps) if steps else ():
                ear.heard.put_nowait(heard)
            for ear in self._ears:
                if ear.waiting:
                    self._wake(ear)
            await asyncio.sleep(due - loop.time())

    async def _heard(self, steps: list[tuple[Ear, list[Step]]]) -> list[tuple[Ear, list[Heard | Mark]]]:
        """Return what each session hears, of a step that fails nothing: the next ones are heard."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._step, steps)
        except Exception:  # such as a thread or memory that the system does not give
            log.exception("the audio of %d sessions could not be heard", len(steps), extra=limited())
            return [(ear, _marks(taken)) for ear, taken in steps]

    def _step(self, steps: list[tuple[Ear, list[Step]]]) -> list[tuple[Ear, list[Heard | Mark]]]:
        """Return what each session hears; runs on the thread.

        The detector is asked for a frame of each session at once: each call has to wait for the interpreter lock.
        """
        heard = [(ear, _decoded(ear, taken)) for ear, taken in steps]
        frames = {ear: [one for one in found if isinstance(one, Heard)] for ear, found in heard if ear.finds_speech}
        for turn in zip_longest(*frames.values()):
            self._detect([(ear, one) for ear, one in zip(frames, turn, strict=True) if one is not None])
        return heard

    def _detect(self, turn: list[tuple[Ear, Heard]]) -> None:
        """Find the probability of speech in a frame of each session."""
        frames = np.frombuffer(b"".join([one.pcm for _, one in turn]), np.int16).reshape(-1, FRAME)
        loud = np.flatnonzero((frames.max(axis=1) >= _QUIET) | (frames.min(axis=1) <= -_QUIET))
        if not len(loud):
            return
        try:
            found = self._detector.detect(frames[loud], [turn[at][0].state for at in loud])
        except Exception:
            if len(turn) == 1:
                log.exception("speech could not be found in the audio of a session", extra=limited())
                return
            found = None
        if found is None:  # because of one session: the others hear on
            for one in turn:
                self._detect([one])
            return
        for at, probability, state in zip(loud, *found, strict=True):
            turn[at][1].probability, turn[at][0].state = probability, state


def _decoded(ear: Ear, taken: list[Step]) -> list[Heard | Mark]:
    try:
        return ear.decode(taken)
    except Exception:  # of one session: the others hear on
        log.exception("the audio of a session could not be heard", extra=limited())
        return _marks(taken)


def _marks(taken: list[Step]) -> list[Heard | Mark]:
    return [step for step in taken if isinstance(step, asyncio.Future)]
