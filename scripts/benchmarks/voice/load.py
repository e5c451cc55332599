"""The rows of many sessions: what one that listens, speaks or types costs the server."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.voice.caller import BYTES_PER_MS, Caller, append, calling
from scripts.benchmarks.voice.engines import Kind, tone
from scripts.benchmarks.voice.serving import Server, serving

_FRAME_MS = 40
_SETTLED = 3.0
_SECONDS = 10.0
_DONE = "response.done"
# −54 dBFS.
_NOISE = array("h", (int(random.Random(seed).gauss(0, 65)) for seed in range(4_800))).tobytes()
_TEXT_SERVERS: tuple[tuple[str, Kind], ...] = (("off", "off"), ("charhost", "scripted"))
_SILENCE = bytes(_FRAME_MS * BYTES_PER_MS)
_KIB = 1 << 10


async def add_listening_rows(rows: Rows, directory: Path, sessions: int) -> None:
    """Measure sessions that listen to noise and to silence, with the real detector, on one core."""
    async with serving("silero", directory) as server:
        server.use_one_core()
        async with _listening(server, 5, _NOISE):
            await asyncio.sleep(_SETTLED)
        before = server.resident
        for name, sound, limit in (("noise", _NOISE, 0.9), ("silence", _SILENCE, 0.4)):
            async with _listening(server, sessions, sound):
                await asyncio.sleep(_SETTLED)
                if sound is _NOISE:
                    rows.add(_MEMORY, Goal(100), "charhost", (server.resident - before) / sessions / _KIB)
                await server.probed()
                share = await _computed_in(server, _SECONDS)
                gaps = await server.probed()
            name = f"listening sessions, {name}"
            rows.add(f"{name}: core of one, %", Goal(limit), "charhost", share / sessions * 100)
            rows.add(f"{name}: core of one, %", Goal(limit), "bare", await _bare(directory, sessions, sound))
            rows.add(f"{name}: loop gap of {sessions} on a core, p99, ms", Goal(50), "charhost", gaps["gap"])
            rows.add(f"{name}: the same, computed, ms", Goal(50), "charhost", gaps["computed"])


async def _bare(directory: Path, sessions: int, sound: bytes) -> float:
    """Return what a session costs a server that drops the audio, in % of a core."""
    async with serving("bare", directory) as server:
        server.use_one_core()
        async with _listening(server, sessions, sound):
            await asyncio.sleep(_SETTLED)
            return await _computed_in(server, _SECONDS) / sessions * 100


_MEMORY = "memory of a listening session, KiB"


async def add_open_turn_row(rows: Rows, directory: Path, sessions: int) -> None:
    async with serving("scripted", directory) as server, _listening(server, sessions, tone(1_000)) as callers:
        await asyncio.gather(*(caller.until("input_audio_buffer.speech_started") for caller in callers))
        before = server.resident
        await asyncio.sleep(_SECONDS)
        grown = (server.resident - before) / sessions / _SECONDS / _KIB
        rows.add("memory of a second of an open turn, KiB", Goal(40), "charhost", grown)


async def add_speaking_row(rows: Rows, directory: Path, sessions: int) -> None:
    """Measure sessions that are spoken to in real time; the core is shared by so many more of them."""
    audio = {"output": {"voice": "paced"}}
    async with serving("scripted", directory) as server, AsyncExitStack() as stack:
        opened = [calling(server.url, output_modalities=["audio"], audio=audio) for _ in range(sessions)]
        callers = [await stack.enter_async_context(one) for one in opened]
        for caller in callers:
            await _ask(caller, "300 words")
        await asyncio.gather(*(caller.until("response.output_audio.delta") for caller in callers))
        await asyncio.sleep(_SETTLED)
        share = await _computed_in(server, _SECONDS)
        rows.add("speaking sessions on a core", Goal(300, is_least=True), "charhost", sessions / share)


async def add_text_row(rows: Rows, directory: Path, answers: int) -> None:
    """Measure text sessions of a server without engines, and of one with them."""
    name, goal = "a text answer, computed, ms", Goal(1.02, "off")
    for of, kind in _TEXT_SERVERS:
        async with serving(kind, directory) as server, calling(server.url) as caller:
            await _answers(caller, answers // 10)
            before = server.computed
            await _answers(caller, answers)
            rows.add(name, goal, of, (server.computed - before) / answers * 1000)


async def add_soak_rows(rows: Rows, directory: Path, seconds: int, interruptions: int) -> None:
    """Send much audio through one session, and interrupt many answers; nothing may be left."""
    async with serving("scripted", directory) as server, calling(server.url, output_modalities=["audio"]) as caller:
        await _interrupt(caller, 20)
        await _send(caller, _SILENCE * 25 * 50)
        before, tasks = server.resident, (await server.probed())["tasks"]
        for _ in range(seconds // 50):
            await _send(caller, _SILENCE * 25 * 50)
        grown = (server.resident - before) / (1 << 20)
        rows.add(f"memory grown by {seconds} s of audio, MiB", Goal(2), "charhost", grown)
        before = server.resident
        await _interrupt(caller, interruptions)
        grown = (server.resident - before) / (1 << 20)
        rows.add(f"memory grown by {interruptions} interrupted answers, MiB", Goal(8), "charhost", grown)
        await asyncio.sleep(_SETTLED)
        left = max(0.0, (await server.probed())["tasks"] - tasks)
        rows.add("tasks left by them", Goal(0.5), "charhost", left)


async def _interrupt(caller: Caller, times: int) -> None:
    for _ in range(times):
        seen = len(caller.events)
        await caller.ws.send_str(append(tone(600) + bytes(700 * BYTES_PER_MS)))
        await caller.until("response.output_audio.delta", seen)


async def _send(caller: Caller, sound: bytes) -> None:
    """Send sound faster than real time, and wait until it is heard."""
    seen = len(caller.events)
    await caller.ws.send_str(append(sound))
    await caller.send("input_audio_buffer.clear")
    await caller.until("input_audio_buffer.cleared", seen)


async def _answers(caller: Caller, number: int) -> None:
    for _ in range(number):
        seen = len(caller.events)
        await _ask(caller, "50 words")
        done = await caller.until(_DONE, seen)
        caller.events.clear()
        await caller.send("conversation.item.delete", item_id=done.event["response"]["output"][0]["id"])


async def _ask(caller: Caller, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    await caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await caller.send("response.create")


async def _computed_in(server: Server, seconds: float) -> float:
    """Return the share of a core that the server uses for so many seconds."""
    clock, before = asyncio.get_running_loop().time, server.computed
    began = clock()
    await asyncio.sleep(seconds)
    return (server.computed - before) / (clock() - began)


@asynccontextmanager
async def _listening(server: Server, sessions: int, sound: bytes) -> AsyncIterator[list[Caller]]:
    async with AsyncExitStack() as stack:
        opened = (calling(server.url, sound, _FRAME_MS) for _ in range(sessions))
        yield [await stack.enter_async_context(one) for one in opened]
