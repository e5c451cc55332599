"""The rows of single turns: how long a client waits after its speech, and how fast it interrupts."""

from __future__ import annotations

import asyncio

from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.voice.caller import BYTES_PER_MS, Arrived, Caller, calling
from scripts.benchmarks.voice.engines import Kind
from scripts.benchmarks.voice.serving import Server

_SILENCE = 0.5
_STARTED = "input_audio_buffer.speech_started"
_STOPPED = "input_audio_buffer.speech_stopped"
_COMPLETED = "conversation.item.input_audio_transcription.completed"
_SOUND = "response.output_audio.delta"
_DONE = "response.done"
_QUIET = bytes(20 * BYTES_PER_MS)
# Seconds beyond the silence, until a detector says that speech is over.
_TAIL = {"scripted": 40, "silero": 200}
_LONG_ANSWER = "200 words"


async def add_turn_rows(rows: Rows, server: Server, kind: Kind, speech: bytes, turns: int) -> None:
    async with calling(server.url, _QUIET) as caller:
        for turn in range(turns):
            seen = len(caller.events)
            await caller.say(_shift(turn))
            _, ended = await caller.say(speech)
            done = await caller.until(_DONE, seen)
            _add_turn(rows, caller, kind, caller.events[seen:], ended)
            await caller.heard(done)


def _add_turn(rows: Rows, caller: Caller, kind: Kind, events: list[Arrived], ended: float) -> None:
    first = {one.event["type"]: one for one in reversed(events)}
    stopped, heard, sound = first[_STOPPED], first[_COMPLETED], first[_SOUND]
    if kind == "embedded":
        _add(rows, "end of speech → first sound, embedded, ms", Goal(1_200), sound.at - ended)
        _add(rows, "speech_stopped → transcript, embedded, ms", Goal(150), heard.at - stopped.at)
        return
    name = f"end of speech → first sound, beyond the silence, {kind} detector, ms"
    _add(rows, name, Goal(_TAIL[kind]), sound.at - ended - _SILENCE)
    completing = caller.sent[-(-stopped.event["audio_end_ms"] // caller.frame_ms) - 1]
    _add(rows, f"last frame of the silence → speech_stopped, {kind} detector, ms", Goal(40), stopped.at - completing)
    _add(rows, "transcript → first sound, engines that take no time, ms", Goal(10), sound.at - heard.at)


async def add_conversation_row(rows: Rows, server: Server, speech: bytes, turns: int) -> None:
    """Talk, and count how many such conversations two cores have the time for."""
    clock = asyncio.get_running_loop().time
    async with calling(server.url, _QUIET) as caller:
        began, computed = clock(), server.computed + server.children_computed
        await server.probed()
        for _ in range(turns):
            seen = len(caller.events)
            await caller.say(speech)
            await caller.heard(await caller.until(_DONE, seen))
        share = (server.computed + server.children_computed - computed) / (clock() - began)
        gaps = await server.probed()
    name = "conversations with the engines of this machine, for which two cores have time"
    rows.add(name, Goal(8, is_least=True), "charhost", 2 / share)
    rows.add("loop gap while both engines work, p99, ms", Goal(15), "charhost", gaps["gap"])
    rows.add("loop gap while both engines work, longest, ms", Goal(70), "charhost", gaps["longest"])


async def add_interruption_rows(rows: Rows, server: Server, kind: Kind, speech: bytes, turns: int) -> None:
    """Speak where nothing is heard, and interrupt an answer that is spoken as slowly as it sounds."""
    async with calling(server.url, _QUIET, output_modalities=["audio"], audio={"output": {"voice": "paced"}}) as caller:
        for turn in range(turns):
            seen = len(caller.events)
            await caller.say(_shift(turn))
            began, _ = await caller.say(speech)
            started, done = await caller.until(_STARTED, seen), await caller.until(_DONE, seen)
            name = f"onset → speech_started, nothing audible, {kind} detector, ms"
            _add(rows, name, Goal(140), started.at - began)
            await caller.heard(done)
            await caller.heard(await _interrupt(rows, caller, kind, speech, turn))


async def _interrupt(rows: Rows, caller: Caller, kind: Kind, speech: bytes, turn: int) -> Arrived:
    """Return the end of the answer to the interruption."""
    seen, text = len(caller.events), [{"type": "input_text", "text": _LONG_ANSWER}]
    await caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": text})
    await caller.send("response.create")
    await caller.until(_SOUND, seen)
    await caller.say(bytes(1_000 * BYTES_PER_MS) + _shift(turn))
    began, _ = await caller.say(speech)
    started, done = await caller.until(_STARTED, seen), await caller.until(_DONE, seen)
    last = caller.sound_of(done.event["response"]["id"])[-1]
    _add(rows, f"onset → speech_started, audible, {kind} detector, ms", Goal(350), started.at - began)
    _add(rows, "speech_started → last delta of the answer, ms", Goal(20), max(0.0, last.at - started.at))
    _add(rows, "speech_started → response.done, ms", Goal(50), done.at - started.at)
    return await caller.until(_DONE, done.number + 1)


def _shift(turn: int) -> bytes:
    """Return silence by which the ends of turns fall into all places of the detector's frames."""
    return bytes((turn % 8 + 1) * 20 * BYTES_PER_MS)


def _add(rows: Rows, name: str, goal: Goal, seconds: float) -> None:
    rows.add(name, goal, "charhost", seconds * 1000)
