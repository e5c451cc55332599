"""The listening of one session with moshi-server."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator
from itertools import count

import aiohttp
import numpy as np
import soxr

from charhost.speech.failure import SpeechError
from charhost.speech.hearing import HEARD_RATE, Listening, Pause, Transcript, Word
from charhost.speech.kyutai.messages import FRAME, FRAMES_PER_SECOND, RATE, Message, audio, number_of, packed, unpacked
from charhost.speech.kyutai.moshi_server import MoshiServer, messages

_PATH = "/api/asr-streaming"
_DELAY = 0.5
# Zeros that bring out the words of a turn: the delay of the model, and a frame for the rest of the last one.
_FLUSH = math.ceil(_DELAY * FRAMES_PER_SECOND) + 1
# In the first steps of a connection the model does not know about pauses yet.
_UNSURE_STEPS = 12
_PAUSE_HEAD = 2
# The server drops a client that sends nothing for 20 s, and a channel is a part of a GPU.
_IDLE = 15.0
_MOST_EVENTS = 1_000
_MOST_CHARACTERS = 64 << 10
# Messages that may wait for a server that does not take them: ten minutes of sound.
_MOST_OUTGOING = int(600 * FRAMES_PER_SECOND)


class KyutaiListening(Listening):
    """Has a connection from the first sound of a turn until a while after it."""

    def __init__(self, server: MoshiServer) -> None:
        self._server = server
        self._resample = soxr.ResampleStream(HEARD_RATE, RATE, 1, dtype="int16", quality="MQ")
        self._rest = b""
        self._outgoing: deque[bytes] = deque()
        self._has_more = asyncio.Event()
        self._events: asyncio.Queue[Word | Pause | None] = asyncio.Queue()
        self._words: list[str] = []
        self._characters = 0  # of the words
        self._fed = 0
        self._flushed_at = -1
        self._numbers = count(1)
        self._markers: dict[int, asyncio.Future[None]] = {}
        self._connection: asyncio.Task[None] | None = None
        self._failure: SpeechError | None = None
        self._hanging_up: asyncio.TimerHandle | None = None

    def feed(self, pcm: bytes) -> None:
        self._fed += len(pcm)
        samples = self._resample.resample_chunk(np.frombuffer(pcm, "<i2"))
        self._add(self._rest + np.asarray(samples, "<i2").tobytes())

    def drop(self) -> None:
        self._fed, self._flushed_at, self._failure = 0, -1, None
        self._forget_words()

    async def events(self) -> AsyncGenerator[Word | Pause, None]:
        while (event := await self._events.get()) is not None:
            yield event

    async def transcript(self, final: bool) -> Transcript:
        fed, is_flushed = self._fed, self._fed == self._flushed_at
        if final:
            self._fed, self._flushed_at = 0, -1  # sound that comes from now on is of the next turn
        try:
            if fed and not is_flushed:
                await self._flush()
            if not final:
                self._flushed_at = fed
            return Transcript(" ".join(self._words), fed / 2 / HEARD_RATE)
        finally:
            if final:
                self._forget_words()
                self._failure = None

    async def close(self) -> None:
        self._events.put_nowait(None)
        if self._hanging_up is not None:
            self._hanging_up.cancel()
        if self._connection is not None:
            self._connection.cancel()
            await asyncio.gather(self._connection, return_exceptions=True)

    def _forget_words(self) -> None:
        self._words.clear()
        self._characters = 0

    async def _flush(self) -> None:
        """Wait until the server has heard all that was fed."""
        number = next(self._numbers)
        self._markers[number] = asyncio.get_running_loop().create_future()
        padding = -len(self._rest) % (2 * FRAME)
        self._add(self._rest + bytes(padding + _FLUSH * 2 * FRAME))
        self._send(packed("Marker", id=number))
        try:
            await self._markers[number]
        finally:
            self._markers.pop(number, None)

    def _add(self, pcm: bytes) -> None:
        size = 2 * FRAME
        whole = len(pcm) - len(pcm) % size
        self._rest = pcm[whole:]
        for at in range(0, whole, size):
            self._send(audio(pcm[at : at + size]))

    def _send(self, message: bytes) -> None:
        """Queue a message, and open the connection if there is none."""
        if len(self._outgoing) >= _MOST_OUTGOING:
            self._fail(SpeechError("timeout", "moshi-server does not keep up."))
        if self._failure is not None:
            self._fail_markers(self._failure)
            return
        self._outgoing.append(message)
        self._has_more.set()
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.done():
            self._connection = loop.create_task(self._connect())
        if self._hanging_up is not None:
            self._hanging_up.cancel()
        self._hanging_up = loop.call_later(_IDLE, self._connection.cancel)

    async def _connect(self) -> None:
        try:
            async with self._server.connected(_PATH, {}) as socket:
                writing = asyncio.create_task(self._write(socket))
                try:
                    await self._read(socket)
                finally:
                    writing.cancel()
            raise SpeechError("unreachable", "moshi-server broke off.")
        except SpeechError as e:
            self._fail(e)
        except asyncio.CancelledError:
            self._fail_markers(SpeechError("timeout", "moshi-server did not respond in time."))
            raise

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            while self._outgoing:
                await socket.send_bytes(self._outgoing.popleft())

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        steps = 0
        async for data in messages(socket):
            message = unpacked(data)
            steps += message["type"] == "Step"
            self._take(message, is_sure=steps > _UNSURE_STEPS)

    def _take(self, message: Message, *, is_sure: bool) -> None:
        match message:
            case {"type": "Word", "text": str(text)}:
                self._characters += len(text)
                if self._characters > _MOST_CHARACTERS:
                    raise SpeechError("malformed", "moshi-server sent more words than a turn can have.")
                self._report(Word(f" {text}" if self._words else text))
                self._words.append(text)
            case {"type": "Step", "prs": [*heads]} if is_sure and len(heads) > _PAUSE_HEAD:
                self._report(Pause(number_of(heads[_PAUSE_HEAD])))
            case {"type": "Marker", "id": int(number)} if number in self._markers:
                if not self._markers[number].done():  # the server may send it twice
                    self._markers[number].set_result(None)

    def _report(self, event: Word | Pause) -> None:
        if self._events.qsize() < _MOST_EVENTS:
            self._events.put_nowait(event)

    def _fail(self, error: SpeechError) -> None:
        self._failure = error
        self._outgoing.clear()
        self._fail_markers(error)

    def _fail_markers(self, error: SpeechError) -> None:
        for waiting in self._markers.values():
            if not waiting.done():
                waiting.set_exception(error)
