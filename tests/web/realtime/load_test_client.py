"""A client that does what unmute's load test does: several spoken turns in real time, of which it times each phase."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sphn
import websockets
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection

from tests.conftest import Client
from tests.web.realtime.unmute_events import TABLE, HistoryMessage

RATE = 24_000
# Samples of a piece: 80 ms, without a break, also while it says nothing.
PIECE = 1_920
# Of the conversation, after which it leaves.
MOST_MESSAGES = 6

Sound = NDArray[np.float32]


class Phases:
    """The times of the phases of one message, each of which begins once, and none before those before it."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.times: dict[str, float] = {}

    def begin(self, name: str, at: float | None = None, in_order: bool = True) -> None:
        """Take the time of a phase that has not begun yet."""
        missing = [before for before in self._names[: self._names.index(name)] if before not in self.times]
        assert not (in_order and missing), f"{name} came before {missing}"
        self.times.setdefault(name, asyncio.get_running_loop().time() if at is None else at)

    def taken(self) -> dict[str, float]:
        """Return the times of all phases, and begin anew."""
        assert self.times.keys() == set(self._names), self.times
        times, self.times = self.times, {}
        return times


@dataclass
class Timed:
    """A message as the load test reports it; `heard` are the seconds of sound of the character."""

    role: str
    content: str
    times: dict[str, float]
    heard: float = 0.0


@dataclass
class LoadTest:
    """One conversation: it asks *question* whenever the character has spoken, and ends after some messages."""

    question: Sound
    report: list[Timed] = field(default_factory=list)
    _history: list[HistoryMessage] = field(default_factory=list)
    _saying: asyncio.Queue[Sound] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self._character = Phases("response_created", "text_start", "audio_start", "audio_end")
        self._user = Phases("audio_start", "text_start", "audio_end")
        self._stream = sphn.OpusStreamReader(RATE)
        self._heard = 0

    async def run(self, client: Client) -> list[Timed]:
        """Talk in the first voice that the server has, and return all messages."""
        assert (await (await client.get("/v1/health")).json())["ok"]
        voices = await (await client.get("/v1/voices")).json()
        voice = voices[0]["source"]["path_on_server"]
        url = str(client.make_url("/v1/realtime")).replace("http", "ws", 1)
        async with websockets.connect(url, subprotocols=[websockets.Subprotocol("realtime")], proxy=None) as ws:
            instructions = {"type": "smalltalk", "language": None}
            session = {"instructions": instructions, "voice": voice, "allow_recording": False}
            await ws.send(json.dumps({"type": "session.update", "session": session}))
            sending = asyncio.create_task(self._send(ws))
            async for frame in ws:
                event = TABLE.validate_json(frame)
                self._take(event)
                if event.type == "response.audio.done" and len(self._history) >= MOST_MESSAGES:
                    break
            sending.cancel()
        return self.report

    async def _send(self, ws: ClientConnection) -> None:
        """Send what is to be said, else silence, a piece when it is due."""
        clock, stream, waiting = asyncio.get_running_loop().time, sphn.OpusStreamWriter(RATE), np.zeros(0, np.float32)
        due = clock()
        while True:
            if not self._saying.empty():
                waiting = np.concatenate((waiting, self._saying.get_nowait()))
            piece, waiting = waiting[:PIECE], waiting[PIECE:]
            page = stream.append_pcm(np.pad(piece, (0, PIECE - len(piece))))
            audio = base64.b64encode(page).decode()
            await ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            due += PIECE / RATE
            await asyncio.sleep(due - clock())

    def _take(self, event: Any) -> None:
        match event.type:
            case "response.created":
                self._begin()
            case "unmute.response.text.delta.ready":
                self._character.begin("text_start")
            case "response.audio.delta":
                self._character.begin("audio_start", in_order=False)
                self._heard += self._stream.append_bytes(base64.b64decode(event.delta)).size
            case "response.audio.done":
                self._end()
            case "conversation.item.input_audio_transcription.delta":
                self._user.begin("text_start")
            case "unmute.additional_outputs":
                self._history = event.args.chat_history

    def _begin(self) -> None:
        """Note that a response begins: what the user said before it is known."""
        self._character.begin("response_created")
        if "audio_start" in self._user.times:
            self._user.begin("text_start")
        said = [message.content for message in self._history if message.role == "user"]
        if said:
            self.report.append(Timed("user", said[-1], self._user.taken()))

    def _end(self) -> None:
        """Note that the character has spoken, and ask the next question."""
        self._character.begin("audio_end")
        content = self._history[-1].content
        self.report.append(Timed("assistant", content, self._character.taken(), self._heard / RATE))
        self._heard = 0
        self._saying.put_nowait(self.question)
        self._user.begin("audio_start")
        self._user.begin("audio_end", self._user.times["audio_start"] + len(self.question) / RATE, in_order=False)
