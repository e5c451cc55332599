"""The sound of a character at one client."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from charhost.conversation.items import Audio, Message
from charhost.conversation.spoken_turn import Delivery, SoundFormat, Speaking, SpokenTurn
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import SoundDelta, SpokenEvent, TurnEnded
from charhost.speech.engines import Engines
from charhost.speech.latency import Latency
from charhost.speech.playback import Playback
from charhost.speech.speech import SPOKEN_RATE, Voice
from charhost.web.protocol.frames import InvalidEvent
from charhost.web.protocol.session_params import OutputParams
from charhost.web.sessions.session import Session

# Items whose sound can still be truncated exactly; that of earlier ones was heard long ago.
_MOST_PLAYBACKS = 8
# Seconds that sound is ahead of its playback at clients that cannot drop any.
_PACED_LEAD = 0.32
# Among the items for which a session stays open.
_PLAYING = "playing"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The items that were interrupted, with their playbacks; none if the response had not begun."""

    items: Mapping[str, Playback] = field(default_factory=dict)

    @property
    def heard_ms(self) -> float:
        return sum(playback.cut_ms or 0.0 for playback in self.items.values())

    @property
    def unheard(self) -> str:
        return "".join(playback.unheard for playback in self.items.values()).strip()


@dataclass(eq=False, slots=True)
class Loudspeaker:
    """Speaks the responses of one session, and keeps only their words that were heard in the conversation."""

    _session: Session
    _engines: Engines
    _playbacks: OrderedDict[str, Playback] = field(default_factory=OrderedDict)  # by item, the oldest first
    _timer: asyncio.TimerHandle | None = None

    async def voice(self, output: OutputParams | None = None) -> Voice:
        """Return the voice of the character as it is now, at the speed that the client chooses."""
        voices = self._engines.voices
        assert voices is not None
        chosen = voices.named(output.voice) if output is not None and output.voice else None
        voice = chosen or await voices.of(self._session.character)
        return replace(voice, speed=voice.speed * ((output.speed if output is not None else None) or 1.0))

    def spoken(self, turn: Turn, output: OutputParams | None, voice: Voice, latency: Latency | None) -> SpokenTurn:
        return self._spoken(turn, voice, Delivery(_sound_format(output), self._session.outbox.drop), latency)

    def paced(
        self,
        turn: Turn,
        stream: SoundFormat,
        voice: Voice,
        said: Callable[[str], Awaitable[None]],
        latency: Latency | None = None,
    ) -> SpokenTurn:
        """Return a turn whose sound is released as it is played, into a *stream* of which nothing is dropped."""
        return self._spoken(turn, voice, Delivery(stream, lambda _: 0, _PACED_LEAD, said), latency)

    def count(self, event: SpokenEvent) -> None:
        """Count the sound of an event, and the failure of an engine."""
        metrics = self._session.conversation.shared.metrics
        if isinstance(event, SoundDelta):
            metrics.speech_sound_seconds.labels("spoken").inc(event.size / (2 * SPOKEN_RATE))
        elif isinstance(event, TurnEnded) and event.failure is not None and event.failure.code == "speech_failed":
            metrics.speech_errors.labels("speech", event.failure.cause).inc()

    @property
    def is_playing(self) -> bool:
        """Whether the sound that was sent is not over, by the time."""
        return self.ahead > 0

    @property
    def ahead(self) -> float:
        """The seconds of sound that the client has not heard yet."""
        return max(0.0, self._ends_at - _now())

    def play(self) -> None:
        """Keep the session open politely until the sound is over, by the time."""
        self._end_play()
        if (ahead := self.ahead) > 0:
            self._session.work.hold(_PLAYING)
            self._timer = asyncio.get_running_loop().call_later(ahead, self._end_play)

    def cut(self) -> Interrupted:
        """Cut the items that are playing to the words heard so far: the client stops them. Return these."""
        now = _now()
        playing = {item_id: playback for item_id, playback in self._playbacks.items() if playback.ahead(now) > 0}
        heard = {item_id: playback.heard_ms(now) for item_id, playback in playing.items()}
        for item_id, milliseconds in heard.items():
            self._cut(item_id, milliseconds)
        return Interrupted(playing)

    def forget(self, item_id: str) -> None:
        """Show an item to the model no more: hardly a word of it was heard."""
        item, history = self._session.conversation.history.find(item_id), self._session.conversation.history
        if isinstance(item, Message):
            history.replace(
                replace(item, parts=tuple(replace(p, is_lost=True) for p in item.parts if isinstance(p, Audio)))
            )

    def truncate(self, item_id: str, milliseconds: int) -> None:
        """Cut an item to the words heard in so many ms, which may be more than before; raises `InvalidEvent`.

        A client that has heard more than there is has heard all: it counts the sound that it plays in its own way.
        """
        item = self._session.conversation.history.find(item_id)
        # One that is being spoken has no audio yet.
        is_spoken = item_id in self._playbacks or (isinstance(item, Message) and _has_audio(item))
        if not (isinstance(item, Message) and item.role == "assistant" and is_spoken):
            raise InvalidEvent(
                "unsupported_content_type", "Only model output audio messages can be truncated", "item_id"
            )
        if item_id in self._playbacks:
            if milliseconds < self._playbacks[item_id].sent_ms:
                self._session.conversation.shared.metrics.speech_truncations.inc()
            self._cut(item_id, milliseconds)

    def _spoken(self, turn: Turn, voice: Voice, delivery: Delivery, latency: Latency | None) -> SpokenTurn:
        assert self._engines.speech is not None
        speaking = Speaking(self._engines.speech, voice, self._playback, delivery, latency)
        return SpokenTurn(turn, speaking, self._session.conversation.history)

    def _cut(self, item_id: str, milliseconds: float) -> None:
        playback, history = self._playbacks[item_id], self._session.conversation.history
        playback.cut(milliseconds, _now())
        self._end_play()
        item = history.find(item_id)
        if isinstance(item, Message) and _has_audio(item):
            history.replace(replace(item, parts=(Audio.heard(playback.remembered),)))
        self._session.note()

    @property
    def _ends_at(self) -> float:
        return max((playback.ends_at for playback in self._playbacks.values()), default=0.0)

    def _end_play(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._session.work.release(_PLAYING)

    def _playback(self, item_id: str) -> Playback:
        playback = self._playbacks[item_id] = Playback(self._ends_at)
        if len(self._playbacks) > _MOST_PLAYBACKS:
            self._playbacks.popitem(last=False)
        return playback


def _now() -> float:
    return asyncio.get_running_loop().time()


def _has_audio(item: Message) -> bool:
    return any(isinstance(part, Audio) for part in item.parts)


def _sound_format(output: OutputParams | None) -> SoundFormat | None:
    """Return the encoder of another format than that of engines; imports numpy only for that."""
    if output is None or output.format is None or output.format.type == "audio/pcm":
        return None
    from charhost.speech.formats import Encoder

    return Encoder(output.format.type)
