"""What charhost adds to a model: words per second and time to the first word, beside the same model asked directly.

The model is a process that streams as fast as it is read (for the words per second), and one that pauses 5 ms after
each word (for the time to the first one). Clients, charhost and model share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from scripts.benchmarks.measure import generate, print_table, spread
from scripts.benchmarks.processes import free_port, python, until_listening

_FLAT_OUT, _PACED = ("1000", "0"), ("40", "0.005")
_BODY = {"model": "Number 00000", "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
_WORD = b'"content":" word"'
_DIALECTS = {"realtime": "ga", "realtime, beta": "beta"}


@dataclass
class Answer:
    """When the first and the last word came, in seconds after the question, and how many there were."""

    first: float
    last: float
    words: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--conversations", default="1,10,100", help="how many at a time (default: 1,10,100)")


async def measure(arguments: argparse.Namespace) -> None:
    """Print a row for each front door and number of conversations."""
    doors = ["directly", "chat completions", *_DIALECTS, "unmute"]
    rows = []
    for count in map(int, arguments.conversations.split(",")):
        speeds = await _speeds(doors, count, arguments.runs)
        firsts = await _firsts(doors, count, arguments.runs)
        for door in doors:
            share = (
                f"{min(speeds[door]) / max(speeds['directly']):.2f}-{max(speeds[door]) / min(speeds['directly']):.2f}"
            )
            added = [first - direct for first, direct in zip(firsts[door], firsts["directly"], strict=True)]
            rows.append([str(count), door, spread(speeds[door]), share, spread(firsts[door]), spread(added)])
    print_table(["conversations", "through", "words/s", "of direct", "first word, ms", "added, ms"], rows)


async def _speeds(doors: list[str], count: int, runs: int) -> dict[str, list[float]]:
    """Words per second of all conversations together, run by run."""

    def speed(answers: list[Answer]) -> float:
        return sum(answer.words for answer in answers) / max(answer.last for answer in answers)

    return await _measured(doors, count, runs, _FLAT_OUT, speed)


async def _firsts(doors: list[str], count: int, runs: int) -> dict[str, list[float]]:
    """Milliseconds to the first word, the median of the conversations, run by run."""

    def first(answers: list[Answer]) -> float:
        return sorted(answer.first for answer in answers)[len(answers) // 2] * 1000

    return await _measured(doors, count, runs, _PACED, first)


async def _measured(
    doors: list[str], count: int, runs: int, pace: tuple[str, str], figure: Callable[[list[Answer]], float]
) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {door: [] for door in doors}
    async with AsyncExitStack() as stack:
        ask = await _set_up(stack, pace, count)
        for run in range(runs + 1):  # the first one is to warm up
            for door in doors:
                found = figure(await asyncio.gather(*(ask(door) for _ in range(count))))
                if run:
                    figures[door].append(found)
    return figures


async def _set_up(stack: AsyncExitStack, pace: tuple[str, str], count: int) -> Callable[[str], Awaitable[Answer]]:
    model, port = free_port(), free_port()
    directory = generate(Path(stack.enter_context(tempfile.TemporaryDirectory())), 1)
    await stack.enter_async_context(python("-m", "scripts.benchmarks.streaming", str(model), *pace))
    environment = {"CHARHOST_LLM_URL": f"http://127.0.0.1:{model}/v1", "CHARHOST_LLM_MODEL": "m"}
    options = ("--directory", str(directory), "--port", str(port), "--llm-concurrency", str(count))
    await stack.enter_async_context(python("-m", "charhost", "serve", *options, environment=environment))
    await until_listening(model)
    await until_listening(port)
    client = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

    async def ask(door: str) -> Answer:
        if door == "unmute":
            return await _unmute(client, f"ws://127.0.0.1:{port}/v1/realtime")
        if door in _DIALECTS:
            return await _realtime(client, f"ws://127.0.0.1:{port}/v1/realtime", _DIALECTS[door])
        return await _completion(
            client, f"http://127.0.0.1:{model if door == 'directly' else port}/v1/chat/completions"
        )

    return ask


async def _completion(client: aiohttp.ClientSession, url: str) -> Answer:
    received, first, started = bytearray(), 0.0, time.perf_counter()
    async with client.post(url, json=_BODY) as response:
        response.raise_for_status()
        async for part in response.content.iter_any():
            received += part
            if not first and _WORD in received:
                first = time.perf_counter() - started
    return Answer(first, time.perf_counter() - started, received.count(_WORD))


async def _realtime(client: aiohttp.ClientSession, url: str, dialect: str) -> Answer:
    query = {"model": str(_BODY["model"]), "dialect": dialect}
    content = [{"type": "input_text", "text": "Go on."}]
    words, first = 0, 0.0
    async with client.ws_connect(url, params=query) as socket:
        item = {"type": "message", "role": "user", "content": content}
        await socket.send_json({"type": "conversation.item.create", "item": item})
        started = time.perf_counter()
        await socket.send_json({"type": "response.create"})
        async for message in socket:
            if "text.delta" in message.data[:60]:
                words += 1
                first = first or time.perf_counter() - started
            elif '"response.done"' in message.data[:60]:
                break
    return Answer(first, time.perf_counter() - started, words)


async def _unmute(client: aiohttp.ClientSession, url: str) -> Answer:
    words, first = 0, 0.0
    async with client.ws_connect(url, params={"dialect": "unmute"}) as socket:
        await socket.send_json({"type": "session.update", "session": {"allow_recording": False}})
        started = time.perf_counter()
        await socket.send_json({"type": "input_audio_buffer.append", "audio": "T2dnUw=="})  # the first sound
        async for message in socket:
            if '"response.text.delta"' in message.data[:60]:
                words += 1
                first = first or time.perf_counter() - started
            elif '"unmute.additional_outputs"' in message.data[:60]:
                break
    return Answer(first, time.perf_counter() - started, words)
